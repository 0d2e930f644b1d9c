"""Identifiers: one type for each kind, a readable prefix, and time order from UUIDv7 (RFC 9562 §5.7)."""

from __future__ import annotations

from typing import NewType

import uuid_utils

ProjectId = NewType("ProjectId", str)
MessageId = NewType("MessageId", str)
RecipientId = NewType("RecipientId", str)
EventId = NewType("EventId", str)
EndpointId = NewType("EndpointId", str)
KeyId = NewType("KeyId", str)
DrainId = NewType("DrainId", str)
InquiryId = NewType("InquiryId", str)

MESSAGE_PATTERN = r"^msg_[0-9a-f]{32}$"
"""What the id of a message looks like."""

_MESSAGE, _RECIPIENT = "msg_", "rcp_"


def _new(prefix: str) -> str:
    return prefix + uuid_utils.uuid7().hex


def new_message_id() -> MessageId:
    """Return `msg_` and 32 hexadecimal digits."""
    return MessageId(_new(_MESSAGE))


def new_event_id() -> EventId:
    """Return `evt_` and 32 hexadecimal digits; no dot, since webhook signatures join with dots."""
    return EventId(_new("evt_"))


def new_endpoint_id() -> EndpointId:
    """Return `end_` and 32 hexadecimal digits."""
    return EndpointId(_new("end_"))


def new_key_id() -> KeyId:
    """Return the public part of an API key: 32 hexadecimal digits, no prefix."""
    return KeyId(_new(""))


def new_drain_id() -> DrainId:
    """Return `drn_` and 32 hexadecimal digits."""
    return DrainId(_new("drn_"))


def new_inquiry_id() -> InquiryId:
    """Return `inq_` and 32 hexadecimal digits."""
    return InquiryId(_new("inq_"))


def recipient_id(message: MessageId, index: int) -> RecipientId:
    """Return the id of the recipient at `index` (from 0) of `message`; it needs no look-up."""
    return RecipientId(f"{_RECIPIENT}{message.removeprefix(_MESSAGE)}_{index}")
