from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path

import dkim  # type: ignore[import-untyped]  # dkimpy has no types
import pytest

from app.mail.dkim import Algorithm, generate_pem, load_key, public_record
from app.processes.ports import free_port
from tests.fakes import postfix
from tests.fakes.deployment import deployed
from tests.fakes.dns import DnsServer
from tests.fakes.waiting import eventually


def make_keys(directory: Path) -> dict[str, str]:
    """Make keys of both kinds for example.com; return the TXT records that publish them."""
    folder = directory / "example.com"
    folder.mkdir(parents=True)
    records = {}
    for algorithm in Algorithm:
        selector, pem = algorithm.name.lower(), generate_pem(algorithm)
        (folder / f"{selector}.pem").write_bytes(pem)
        name = f"{selector}._domainkey.example.com."
        records[name] = public_record(load_key(pem, "example.com", selector))
    return records


def verdicts(mail: bytes, records: dict[str, str]) -> list[bool]:
    """Return what an independent verifier says of the two signatures."""
    verifier = dkim.DKIM(mail)

    def look_up(name: bytes, **_: object) -> bytes:
        return records[name.decode()].encode()

    return [verifier.verify(index, look_up) for index in (0, 1)]


@pytest.mark.skipif(postfix.why_not() is not None, reason=postfix.why_not() or "")
async def test_a_real_postfix_takes_the_mail_and_its_signatures_verify_in_the_mailbox(
    tmp_path: Path, dns: DnsServer
) -> None:
    records = make_keys(tmp_path / "dkim")
    port = free_port()
    dns.mx("example.org", (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    keys = {"PILLARBOX_DKIM__DIRECTORY": str(tmp_path / "dkim"), "PILLARBOX_DKIM__REQUIRED": "true"}
    with postfix.receiving(tmp_path / "postfix", port, "example.org") as receiver:
        async with deployed(tmp_path, dns, port, settings=keys) as pillarbox:
            message = await pillarbox.send(
                "ann@example.org",
                text=".hidden dot\n" + "ä" * 2000 + "\n",
                attachments=[{"filename": "Rechnung März.txt", "content": "aGVsbG8K"}],
            )
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}

            async def arrived() -> bytes | None:
                return receiver.mails[0].read_bytes() if receiver.mails else None

            stored = await eventually(arrived)
    assert stored is not None
    # Postfix puts fields of its own in front, and keeps lines as the system has them.
    assert verdicts(stored.replace(b"\n", b"\r\n"), records) == [True, True]
    parsed = message_from_bytes(stored, policy=policy.default)
    body = parsed.get_body()
    assert body is not None
    assert body.get_content().splitlines()[0] == ".hidden dot"
    (attachment,) = parsed.iter_attachments()
    assert attachment.get_filename() == "Rechnung März.txt"
