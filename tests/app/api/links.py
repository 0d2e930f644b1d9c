"""Mails with a way to unsubscribe, and what is done with the links in them."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from app.spool.client import Redis
from app.spool.replies import as_bytes
from tests.app.api.client import Answer, Client

BASE = "https://mail.shop.example/pillarbox"
HOSTED: dict[str, object] = {"hosted": True}
URL = "https://shop.example/u/1815"
OWN_HEADERS = {
    "List-Unsubscribe": f"<{URL}>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
FORM = "application/x-www-form-urlencoded"
PAIR = b"List-Unsubscribe=One-Click"
MULTIPART = b'--x1\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x1--\r\n'


async def mail_of(redis: Redis, answer: Answer, field: str = "raw") -> EmailMessage:
    """Return what is kept to be sent."""
    key = redis.keys.message + answer.text_at("/id")
    mail = message_from_bytes(as_bytes(await redis.call("HGET", key, field)), policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def path_of(mail: EmailMessage) -> str:
    """Return the path of the link in a mail, without the first part, which a proxy in front takes off."""
    found = re.fullmatch(rf"<{BASE}(/unsubscribe/[A-Za-z0-9_-]+)>", mail["List-Unsubscribe"])
    assert found
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return found[1]


async def sent_path(client: Client, redis: Redis, **fields: object) -> str:
    answer = await client.send(list_unsubscribe=HOSTED, **fields)
    assert answer.status == 202, answer.body
    return path_of(await mail_of(redis, answer))


async def click(client: Client, path: str, body: bytes = PAIR, form: str = FORM) -> Answer:
    """Post as a mail program does: without a key."""
    bare = client.with_key(None)
    return await bare.call("POST", path, body=body, headers={"Content-Type": form})


async def suppressed(client: Client) -> list[tuple[object, object, object]]:
    found = (await client.get("/suppressions")).at("/data")
    assert isinstance(found, list)
    return [(each["address"], each["stream"], each["reason"]) for each in found]


async def told(client: Client, message: str) -> list[tuple[object, object]]:
    found = (await client.get(f"/messages/{message}/events")).at("/data")
    assert isinstance(found, list)
    return [(each["type"], each["data"]["sequence"]) for each in found]
