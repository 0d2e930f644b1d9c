"""The pages of the mailbox: they show what arrived, and whatever a mail brings stays harmless."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.catchall.folder import Arrival, MailFolder, MailId, new_mail_id
from app.catchall.specials import Special
from app.dashboard.inbox import mailbox_router
from app.mail.mime.compose import compose
from app.mail.mime.content import Attachment
from tests.app.mail.letters import LETTER
from tests.app.mail.mime.calendars import CALENDAR, INVITATION
from tests.fakes.asgi import Answer, get

HOSTILE = "<script>alert(1)</script>"
MULTIPART = (
    b"Subject: pictures\r\nContent-Type: multipart/related; boundary=b\r\n\r\n"
    b'--b\r\nContent-Type: text/html\r\n\r\n<h1>hi</h1><img src="cid:logo"><img src="cid:other">\r\n'
    b"--b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n\r\npng\r\n"
    b"--b\r\nContent-Type: text/html\r\n"
    b'Content-Disposition: attachment; filename="a\r\n b.html"\r\n\r\n' + HOSTILE.encode() + b"\r\n"
    b"--b\r\nContent-Type: image/svg+xml\r\n\r\n<svg/>\r\n--b--\r\n"
)


class Inbox:
    """The pages over a folder of their own."""

    def __init__(self, directory: Path) -> None:
        self.folder = MailFolder(directory)
        self.folder.prepare()
        self.app = FastAPI()
        self.app.include_router(mailbox_router(directory))

    def put(self, content: bytes, **changes: str) -> MailId:
        arrival = Arrival(
            id=new_mail_id(),
            received_at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
            ehlo="client.example",
            mail_from=changes.get("mail_from", "hello@example.com"),
            recipients=(changes.get("recipient", "you@example.net"),),
            tls=changes.get("tls"),
            size_bytes=len(content),
        )
        self.folder.keep(arrival, content)
        return arrival.id

    async def get(self, path: str, **headers: str) -> Answer:
        return await get(self.app, path, {"Host": "127.0.0.1:8080", **headers})


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "mailbox")


async def test_the_bare_address_leads_to_the_mailbox(inbox: Inbox) -> None:
    answer = await inbox.get("/")
    assert answer.status == 302
    assert answer.headers["Location"] == "/mailbox"


async def test_an_empty_mailbox_shows_how_to_send_a_first_mail(inbox: Inbox) -> None:
    (inbox.folder.directory / "example.txt").write_text("curl 'http://127.0.0.1' -d '<x>'")
    shown = (await inbox.get("/mailbox")).text
    assert "curl &#39;http://127.0.0.1&#39; -d &#39;&lt;x&gt;&#39;" in shown


async def test_the_special_addresses_are_named(inbox: Inbox) -> None:
    shown = (await inbox.get("/mailbox")).text
    assert all(f"{special}@example.com" in shown for special in Special)


async def test_mails_are_listed_with_what_identifies_them(inbox: Inbox) -> None:
    inbox.put(b"Subject: older\r\nFrom: Shop <shop@example.com>\r\nTo: a@example.net\r\n\r\n")
    inbox.put(b"Subject: newer\r\n\r\n", tls="TLSv1.3 X")
    shown = (await inbox.get("/mailbox")).text
    assert shown.index("newer") < shown.index("older")
    for wanted in ("Shop &lt;shop@example.com&gt;", "&lt;hello@example.com&gt; to", "TLSv1.3 X"):
        assert wanted in shown


async def test_the_list_is_only_sent_again_when_something_came(inbox: Inbox) -> None:
    tag = (await inbox.get("/mailbox/list")).headers["ETag"]
    headers = {"If-None-Match": tag}
    assert (await inbox.get("/mailbox/list", **headers)).status == 304
    inbox.put(b"Subject: new\r\n\r\n")
    assert "new" in (await inbox.get("/mailbox/list", **headers)).text


async def test_a_mail_is_shown_with_headers_and_text(inbox: Inbox) -> None:
    identity = inbox.put(
        b"Subject: hi\r\nX-Order: 7\r\n\r\nline one\r\nline two\r\n", tls="TLSv1.3 X"
    )
    shown = (await inbox.get(f"/mailbox/{identity}")).text
    for wanted in ("X-Order", "line one\nline two", "TLSv1.3 X", f"/mailbox/{identity}/raw"):
        assert wanted in shown


async def test_html_of_headers_envelope_and_text_is_escaped_everywhere(inbox: Inbox) -> None:
    raw = f"Subject: {HOSTILE}\r\nFrom: {HOSTILE}\r\n{HOSTILE}: {HOSTILE}\r\n\r\n{HOSTILE}".encode()
    identity = inbox.put(raw, mail_from=HOSTILE, recipient=f"{HOSTILE}@x", tls=f'"{HOSTILE}')
    for path in ("/mailbox", "/mailbox/list", f"/mailbox/{identity}"):
        assert HOSTILE not in (await inbox.get(path)).text
        assert "alert(1)" in (await inbox.get(path)).text


async def test_no_page_allows_inline_scripts_or_foreign_content(inbox: Inbox) -> None:
    identity = inbox.put(b"Subject: hi\r\n\r\nhi")
    for path in ("/mailbox", "/mailbox/list", f"/mailbox/{identity}", "/mailbox/nothing"):
        answer = await inbox.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text


async def test_the_html_of_a_mail_is_sandboxed(inbox: Inbox) -> None:
    identity = inbox.put(b"Content-Type: text/html\r\n\r\n" + HOSTILE.encode())
    answer = await inbox.get(f"/mailbox/{identity}/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    for forbidden in ("allow-scripts", "allow-same-origin", "allow-forms", "script-src"):
        assert forbidden not in policy
    frame = (await inbox.get(f"/mailbox/{identity}")).text.partition("<iframe")[2].partition(">")[0]
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame


async def test_pictures_of_a_mail_come_from_the_mail(inbox: Inbox) -> None:
    identity = inbox.put(MULTIPART)
    shown = (await inbox.get(f"/mailbox/{identity}/html")).text
    assert f'src="/mailbox/{identity}/parts/0"' in shown
    assert 'src="cid:other"' in shown
    picture = await inbox.get(f"/mailbox/{identity}/parts/0")
    assert picture.body == b"png"
    assert picture.headers["Content-Type"] == "image/png"


async def test_every_form_of_a_mail_has_a_view_and_every_file_its_place(inbox: Inbox) -> None:
    logo = Attachment("logo.png", "image/png", b"png", content_id="logo@example.com")
    photo = Attachment("photo.png", "image/png", b"png")
    html, amp = '<img src="cid:logo%40example.com">', "<!doctype html><html amp4email>"
    letter = replace(LETTER, html=html, amp=amp, invitation=INVITATION, attachments=(logo, photo))
    identity = inbox.put(compose(letter, "seed"))
    shown = (await inbox.get(f"/mailbox/{identity}")).text
    for view in ("html", "text", "calendar", "amp", "headers"):
        assert f'id="view-{view}"' in shown
    assert "Shop: Café &lt;shop@example.com&gt;" in shown
    assert "BEGIN:VCALENDAR" in shown
    assert "&lt;html amp4email&gt;" in shown
    assert shown.count("in the HTML") == 1
    assert shown.count('class="preview"') == 2
    inside = (await inbox.get(f"/mailbox/{identity}/html")).text
    assert f'src="/mailbox/{identity}/parts/0"' in inside


async def test_a_hostile_invitation_is_text_like_all_else(inbox: Inbox) -> None:
    calendar = CALENDAR.replace("SUMMARY:", f"SUMMARY:{HOSTILE}")
    letter = replace(LETTER, invitation=replace(INVITATION, content=calendar))
    shown = (await inbox.get(f"/mailbox/{inbox.put(compose(letter, 'seed'))}")).text
    assert HOSTILE not in shown
    assert "alert(1)" in shown


@pytest.mark.parametrize("number", [1, 2])
async def test_whatever_could_run_is_only_a_download(inbox: Inbox, number: int) -> None:
    answer = await inbox.get(f"/mailbox/{inbox.put(MULTIPART)}/parts/{number}")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_the_source_is_text_and_nothing_else(inbox: Inbox) -> None:
    raw = b"Content-Type: text/html\r\n\r\n" + HOSTILE.encode() + b"\xff"
    answer = await inbox.get(f"/mailbox/{inbox.put(raw)}/raw")
    assert answer.body == raw
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/mailbox/..%2f..%2fetc%2fpasswd",
        "/mailbox/" + "0" * 32,
        "/mailbox/%00",
        "/mailbox/example.txt/raw",
        "/mailbox/static/..%2fpages.py",
        "/mailbox/static/none.css",
    ],
)
async def test_what_is_not_there_is_404(inbox: Inbox, path: str) -> None:
    assert (await inbox.get(path)).status == 404


@pytest.mark.parametrize("number", ["-1", "4", "99999999999999999999"])
async def test_a_part_that_is_not_there_is_404(inbox: Inbox, number: str) -> None:
    assert (await inbox.get(f"/mailbox/{inbox.put(MULTIPART)}/parts/{number}")).status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""]
)
async def test_a_name_from_elsewhere_is_refused(inbox: Inbox, host: str) -> None:
    assert (await inbox.get("/mailbox", Host=host)).status == 403


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
async def test_the_names_of_this_machine_are_welcome(inbox: Inbox, host: str) -> None:
    assert (await inbox.get("/mailbox", Host=host)).status == 200


@pytest.mark.parametrize("name", ["pillarbox.css", "mailbox.js", "icon.svg"])
async def test_style_and_script_come_from_here(inbox: Inbox, name: str) -> None:
    assert (await inbox.get(f"/mailbox/static/{name}")).status == 200
