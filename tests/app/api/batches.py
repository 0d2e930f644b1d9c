"""What the tests of batches share."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage

from app.ids import ProjectId, new_drain_id
from app.messages import Stream
from app.settings import ApiSettings, Settings
from app.spool.client import Redis
from app.spool.replies import as_int
from app.spool.scripts import Scripts
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Lanes
from tests.app.api.client import MESSAGE, Answer, Client

JSON = {"Content-Type": "application/json"}
FILE = bytes(range(256)) * 400
TERMS = {"id": "terms", "filename": "terms.pdf", "content": base64.b64encode(FILE).decode()}
ONCE = {**JSON, "Idempotency-Key": "monday"}


LIMITS = ApiSettings(
    max_body_bytes=400_000,
    max_message_bytes=500_000,
    max_batch_bytes=5_000_000,
    max_batch_items=120,
    max_batch_sent_bytes=11_000_000,
    max_attachments=3,
    max_held_bytes=2_600_000,
)
"""Small ones, so that tests need no large bodies."""


def numbered(count: int) -> list[dict[str, object]]:
    """Return messages whose recipients tell their place."""
    return [{**MESSAGE, "to": f"user{number}@example.com"} for number in range(count)]


async def send(client: Client, *messages: object, **members: object) -> Answer:
    return await client.post("/messages/batch", {**members, "messages": messages})


async def send_bytes(client: Client, body: bytes) -> Answer:
    return await client.call("POST", "/messages/batch", body=body, headers=JSON)


def told(answer: Answer) -> list[str]:
    """Return the results in short: the address of who gets the message, or the code of its problem."""
    results = answer.at("/results")
    assert isinstance(results, list)
    return [
        result["message"]["recipients"][0]["address"]
        if result["status"] == "accepted"
        else result["problem"]["code"]
        for result in results
    ]


async def stored(redis: Redis) -> int:
    return as_int(await redis.call("ZCARD", redis.keys.expiries))


async def claimed(redis: Redis, settings: Settings) -> MailClaim:
    """Return what a worker gets of the first message of the lane."""
    lanes = Lanes(redis, Scripts.of(redis.keys, settings), settings.retention.settled)
    lane = MailLane(ProjectId("shop"), Stream.TRANSACTIONAL, "example.com")
    claim = await lanes.begin(lane, new_drain_id())
    assert isinstance(claim, MailClaim)
    return claim


def files_of(claim: MailClaim) -> list[tuple[str | None, object]]:
    mail = message_from_bytes(claim.raw, EmailMessage, policy=policy.SMTP)
    return [(part.get_filename(), part.get_content()) for part in mail.iter_attachments()]


async def post(client: Client, messages: Sequence[object], **members: object) -> Answer:
    return await client.post("/messages/batch", {**members, "messages": messages}, ONCE)


async def memory(redis: Redis) -> int:
    info = await redis.call("INFO", "memory")
    assert isinstance(info, bytes)
    return int(next(line for line in info.split() if line.startswith(b"used_memory:"))[12:])
