"""Reports become messages: signed, from nobody, and once however often they are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import SpoolFull
from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.mail.dkim import Algorithm, generate_pem, load_key, public_record
from app.messages import Field, Recipient, RecipientState, Status, Stream, TlsWish
from app.settings import ReportSettings, Settings
from app.spool.replies import as_list
from tests.app.mail.verifiers import dkimpy_accepts
from tests.app.spool.conftest import Spool, spool, spool_settings
from tests.fakes.letters import PROJECT
from tests.worker.reports.told import NOW, failed, late, message, reread, state
from worker.reports.notices import subjects
from worker.reports.writer import Reporter

__all__ = ["spool"]

TOLD = message("ann@example.org", "bob@example.org", bcc=["eve@example.org"])
BOUNCED = state(Status.BOUNCED)


def reporter(spool: Spool, settings: Settings, keys: Path | None = None) -> Reporter:
    return Reporter(spool.store, Keyring(KeyFolder(keys)), settings, lambda: NOW)


async def test_a_report_comes_from_the_domain_of_the_author_wherever_trouble_is_told(
    spool: Spool, settings: Settings
) -> None:
    told = replace(TOLD, mail_from="x@bounces.example.net", other_author="sender@example.com")
    (subject, *_) = subjects(failed(told, BOUNCED, BOUNCED, BOUNCED))
    letter = await reporter(spool, settings).written(
        failed(told, BOUNCED, BOUNCED, BOUNCED), subject
    )
    assert b"\r\nFrom: Mail delivery <postmaster@example.com>\r\n" in letter.copies[0]
    assert b"bounces" not in letter.copies[0]


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    return spool_settings(valkey_url)


async def kept(spool: Spool) -> int:
    return len(as_list(await spool.redis.call("KEYS", f"{spool.redis.keys.message}*")))


async def test_a_report_is_a_message_from_the_null_path_that_is_reported_on_by_none(
    spool: Spool, settings: Settings
) -> None:
    notice = failed(TOLD, BOUNCED)
    letter = await reporter(spool, settings).written(notice, subjects(notice)[0])
    written, raw = letter.message, letter.copies[0]
    assert (written.project, written.stream) == (PROJECT, Stream.TRANSACTIONAL)
    assert (written.mail_from, written.report_to, written.late_at) == ("", None, None)
    assert written.reports_on == TOLD.id
    assert written.recipients == (Recipient("ops@example.com", "example.com", Field.TO),)
    assert (written.subject, written.size_bytes) == ("Not delivered: hello", len(raw))
    assert written.expires_at == NOW + timedelta(days=4)


async def test_a_report_names_its_message_in_its_message_id_and_comes_from_a_person(
    spool: Spool, settings: Settings
) -> None:
    settings = settings.model_copy(update={"reports": ReportSettings(postmaster="mailer-daemon")})
    notice = failed(TOLD, BOUNCED)
    letter = await reporter(spool, settings).written(notice, subjects(notice)[0])
    written, raw = letter.message, letter.copies[0]
    mail = reread(raw).mail
    assert mail["From"] == "Mail delivery <mailer-daemon@example.com>"
    assert mail["Message-ID"] == f"<{written.id.removeprefix('msg_')}@example.com>"


@pytest.mark.parametrize("wish", TlsWish)
async def test_a_report_wants_its_way_to_be_as_safe_as_that_of_its_message(
    spool: Spool, settings: Settings, wish: TlsWish
) -> None:
    notice = failed(replace(TOLD, tls=wish), BOUNCED)
    letter = await reporter(spool, settings).written(notice, subjects(notice)[0])
    written, raw = letter.message, letter.copies[0]
    assert written.tls is wish
    assert (reread(raw).mail["TLS-Required"] == "No") == (wish is TlsWish.OPTIONAL)


async def test_a_report_on_a_copy_of_ones_own_returns_the_header_of_that_copy(
    spool: Spool, settings: Settings
) -> None:
    told = message("ann@example.org", "bob@example.org", is_merged=True)
    own = {
        n: f"Subject: =?utf-8?q?f=C3=BCr_{n}?=\r\nMessage-ID: <{n}@example.com>\r\n".encode()
        for n in range(2)
    }
    notice = replace(failed(told, BOUNCED, BOUNCED), own_headers=own)
    written = [await reporter(spool, settings).written(notice, each) for each in subjects(notice)]
    mails = [reread(letter.copies[0]).mail for letter in written]
    assert [mail["In-Reply-To"] for mail in mails] == ["<0@example.com>", "<1@example.com>"]
    assert [letter.message.subject for letter in written] == [
        "Not delivered: für 0",
        "Not delivered: für 1",
    ]
    assert [mail["Subject"] for mail in mails] == [letter.message.subject for letter in written]


async def test_a_report_is_signed_by_the_domain_of_the_sender(
    spool: Spool, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "example.com").mkdir()
    pem = generate_pem(Algorithm.RSA)
    (tmp_path / "example.com" / "s1.pem").write_bytes(pem)
    notice = failed(TOLD, BOUNCED)
    letter = await reporter(spool, settings, tmp_path).written(notice, subjects(notice)[0])
    (raw,) = letter.copies
    record = public_record(load_key(pem, "example.com", "s1"))
    assert dkimpy_accepts(raw, 0, {"s1._domainkey.example.com": record})


async def test_a_notice_told_twice_makes_one_message_for_each_report(
    spool: Spool, settings: Settings
) -> None:
    writer = reporter(spool, settings)
    notice = failed(TOLD, BOUNCED, BOUNCED, BOUNCED)
    first = await writer.tell(notice)
    assert len(first) == 1
    assert await kept(spool) == 2
    # The worker died right after; meanwhile nothing that it kept has left.
    assert await writer.tell(notice) == ()
    assert await kept(spool) == 2


async def test_failure_and_lateness_of_one_message_are_two_reports(
    spool: Spool, settings: Settings
) -> None:
    writer = reporter(spool, settings)
    await writer.tell(late(TOLD, RecipientState()))
    await writer.tell(late(TOLD, RecipientState(Status.DEFERRED)))
    await writer.tell(failed(TOLD, BOUNCED))
    assert await kept(spool) == 2


async def test_a_notice_with_nothing_to_tell_makes_no_message(
    spool: Spool, settings: Settings
) -> None:
    writer = reporter(spool, settings)
    assert await writer.tell(late(TOLD, state(Status.DELIVERED))) == ()
    assert await writer.tell(failed(replace(TOLD, report_to=None), BOUNCED)) == ()
    assert await kept(spool) == 0


async def test_while_redis_takes_no_mail_a_report_waits_and_is_told_when_there_is_room(
    spool: Spool, settings: Settings
) -> None:
    writer, notice = reporter(spool, settings), failed(TOLD, BOUNCED)
    await spool.redis.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(SpoolFull):
            await writer.tell(notice)
    finally:
        await spool.redis.call("CONFIG", "SET", "maxmemory", "0")
    assert await kept(spool) == 0
    await writer.tell(notice)
    assert await kept(spool) == 1
