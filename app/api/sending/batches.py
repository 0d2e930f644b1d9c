"""What clients send to `POST /messages/batch`: messages, and the attachments that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic.functional_validators import WrapValidator

from app.api.fields import IS_LINE, MAX_LIST, WireModel, refuse
from app.api.sending.parts import AttachmentIn
from app.api.sending.requests import MessageRequest
from app.mail.mime.content import Attachment
from app.mail.mime.transfer import encode_shared

_Id = Annotated[str, Field(min_length=1, max_length=100), IS_LINE]


class SharedAttachmentIn(AttachmentIn):
    """A file that messages of the batch name by its `id`."""

    id: _Id = Field(description="What messages call it.", examples=["terms"])

    @cached_property
    def prepared(self) -> Attachment:
        """The domain's value, encoded, made once. Raises ContentError or FilenameError."""
        found = super().to_attachment()
        if found.content_type.lower() == "message/rfc822":
            return found  # must not be base64 (RFC 2046 §5.2.1)
        return replace(found, encoded=encode_shared(found.content))

    def to_attachment(self) -> Attachment:
        """Return the domain's value, the same each time. Raises ContentError or FilenameError."""
        return self.prepared


SharedById = Mapping[str, SharedAttachmentIn]
"""The attachments of a batch by their ids."""


def _known(name: str, info: ValidationInfo) -> str:
    if name not in _shared(info):
        raise refuse("unknown_attachment", "no attachment of this batch has this id")
    return name


def _shared(info: ValidationInfo) -> SharedById:
    shared: SharedById = info.context or {}
    return shared


class AttachmentReference(WireModel):
    """One of the attachments that stand before the messages of the batch."""

    shared: Annotated[_Id, AfterValidator(_known)] = Field(
        description="The `id` of that attachment.", examples=["terms"]
    )


def _resolved(
    value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> AttachmentIn:
    if isinstance(value, dict) and "shared" in value:
        reference = AttachmentReference.model_validate(value, context=info.context)
        return _shared(info)[reference.shared]
    own: AttachmentIn = check(value)
    return own


_AttachmentOrReference = Annotated[
    AttachmentIn,
    WrapValidator(_resolved, json_schema_input_type=AttachmentIn | AttachmentReference),
]


class BatchMessage(MessageRequest):
    """A message of a batch: as one that is sent alone, and its attachments may be shared ones."""

    attachments: Annotated[list[_AttachmentOrReference], Field(max_length=MAX_LIST)] | None = Field(
        default=None, description="Files that go along, or references to shared ones."
    )


class BatchRequest(WireModel):
    """Messages to send, each for itself: what is wrong with one does not keep the others back."""

    attachments: list[SharedAttachmentIn] | None = Field(
        default=None,
        description="Files that several messages have. They stand before `messages`, which are read as they come.",
    )
    messages: list[BatchMessage] = Field(
        description="The messages, at most 1,000 or what the operator set.",
        min_length=1,
    )
