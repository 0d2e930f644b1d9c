"""Each recipient of a merge gets its own values, and nothing of any other's."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest, TooLarge
from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.letters.drafts import Draft, OwnData
from app.letters.merging import mails
from app.letters.templating import Patterns
from app.letters.values import pack
from app.letters.writer import Writer
from app.mail.address import Mailbox, parse_address
from app.mail.dkim import Algorithm, generate_pem, load_key, public_record
from app.mail.mime.content import Attachment
from app.messages import Letter
from app.settings import ApiSettings, DkimSettings, Settings
from app.signals.metrics import WorkshopMetrics, new_registry
from app.workshop.workshop import Workshop
from tests.app.mail.letters import body_texts, header_texts
from tests.app.mail.verifiers import dkimpy_accepts
from tests.fakes import letters

ANN, BOB, CAT = "ann@example.org", "bob@example.net", "cat@example.org"
MOST = 10_000_000
SOURCES = {
    "subject": "For {{ name }}",
    "text": "Dear {{ name }},\n{{ note }}\n",
    "html": '<p title="{{ name }}">{{ note }}</p>',
}


def box(address: str) -> Mailbox:
    return Mailbox(f"The owner of {address.partition('@')[0]}", parse_address(address))


def draft(
    data: Mapping[str, Mapping[str, object]],
    *,
    to: Sequence[str] = (ANN, BOB, CAT),
    shared: Mapping[str, object] | None = None,
    **parts: str | None,
) -> Draft:
    texts = {**SOURCES, **parts}
    return Draft(
        sender=box("shop@example.com"),
        to=tuple(map(box, to)),
        subject=texts["subject"] or "",
        text=texts["text"],
        html=texts["html"],
        variables=None if shared is None else pack(shared),
        recipients_data={to: OwnData(to, pack(values)) for to, values in data.items()},
    )


def _closed_workshop(settings: Settings) -> Workshop:
    return Workshop(settings.workshop, WorkshopMetrics(new_registry()))


def written(merge: Draft, keyring: Keyring | None = None, most: int = MOST) -> Letter:
    """Write a merge; its recipients stand once each, in their order."""
    settings = Settings(api=ApiSettings(max_message_bytes=most), dkim=DkimSettings(required=False))
    to = tuple(recipient.address for recipient in merge.recipients())
    message = letters.Letter(to=to, is_merged=True).message()
    message = replace(message, subject=merge.subject)
    writer = Writer(keyring or Keyring(KeyFolder(None)), _closed_workshop(settings), settings)
    return asyncio.run(writer.written(merge, message)).letter


def reread(raw: bytes) -> EmailMessage:
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def parts(mail: EmailMessage) -> list[str]:
    """Return what a reader sees: the subject, and the texts with line ends of one kind."""
    leaves = [part for part in mail.walk() if not part.is_multipart()]
    contents = [str(leaf.get_content()).replace("\r\n", "\n") for leaf in leaves]
    return [str(mail["Subject"]), *contents]


def refused(merge: Draft) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        mails(merge, Patterns(), MOST)
    return [(field.pointer, field.code) for field in caught.value.fields]


values = st.fixed_dictionaries(
    {"name": header_texts.map(lambda text: text[:300]), "note": body_texts}
).filter(lambda found: "\0" not in found["note"])


@given(st.lists(values, min_size=1, max_size=4))
def test_values_come_out_in_the_copy_of_their_recipient_and_in_nobody_elses(
    found: list[dict[str, str]],
) -> None:
    for number, each in enumerate(found):
        # Else one value may happen to be a part of another.
        each["name"] = f"<{number}|{each['name']}|>"
        each["note"] = f"<{number}#{each['note']}#>"
    to = [f"user-{number}@host-{number}.example" for number in range(len(found))]
    letter = written(draft(dict(zip(to, found, strict=True)), to=to))
    for number, (address, raw) in enumerate(zip(to, letter.copies, strict=True)):
        name, note = found[number]["name"], found[number]["note"]
        mail = reread(raw)
        assert [each.addr_spec for each in mail["To"].addresses] == [address]
        subject, text, markup = parts(mail)
        note = note.replace("\r\n", "\n").replace("\r", "\n")
        assert (subject, text) == (f"For {name}", f"Dear {name},\n{note}\n")
        assert html.unescape(markup) == f'<p title="{name}">{note}</p>'
        seen = raw.decode() + "".join((subject, text, html.unescape(markup)))
        for other in range(len(to)):
            if other != number:
                assert not any(
                    mark in seen
                    for mark in (to[other], f"user-{other}@", f"<{other}|", f"<{other}#")
                )


def test_values_of_a_recipient_stand_over_those_of_all() -> None:
    merge = draft(
        {ANN: {"name": "Ann"}, BOB: {"note": "only you", "name": "Bob"}},
        shared={"name": "friend", "note": "all of you"},
        html=None,
    )
    assert [(mail.subject, mail.text) for mail in mails(merge, Patterns(), MOST)] == [
        ("For Ann", "Dear Ann,\nall of you\n"),
        ("For Bob", "Dear Bob,\nonly you\n"),
        ("For friend", "Dear friend,\nall of you\n"),
    ]


def test_a_recipient_that_is_named_twice_gets_one_copy() -> None:
    merge = draft({}, to=(ANN, BOB, ANN), shared={"name": "you", "note": ""})
    assert [str(mail.to[0].address) for mail in mails(merge, Patterns(), MOST)] == [ANN, BOB]
    assert len(written(merge).copies) == 2


def test_each_copy_has_a_message_id_of_its_own_that_stays() -> None:
    merge = draft({}, shared={"name": "you", "note": ""})
    settings = Settings(dkim=DkimSettings(required=False))
    message = letters.Letter(to=(ANN, BOB, CAT), is_merged=True).message()
    writer = Writer(Keyring(KeyFolder(None)), _closed_workshop(settings), settings)
    first, again = (asyncio.run(writer.written(merge, message)).letter for _ in range(2))
    unique = message.id.removeprefix("msg_")
    assert [reread(raw)["Message-ID"] for raw in first.copies] == [
        f"<{unique}.{index}@example.com>" for index in range(3)
    ]
    assert first == again


def test_each_copy_is_signed(tmp_path: Path) -> None:
    (tmp_path / "example.com").mkdir()
    pem = generate_pem(Algorithm.ED25519)
    (tmp_path / "example.com" / "s1.pem").write_bytes(pem)
    record = public_record(load_key(pem, "example.com", "s1"))
    merge = draft({}, shared={"name": "you", "note": ""})
    for raw in written(merge, Keyring(KeyFolder(tmp_path))).copies:
        assert dkimpy_accepts(raw, 0, {"s1._domainkey.example.com": record})


def test_the_message_keeps_the_subject_where_it_is_the_same_for_all_and_the_largest_size() -> None:
    data = {ANN: {"name": "Ann", "note": "x" * 1000}}
    shared = {"name": "you", "note": ""}
    same = written(draft(data, shared=shared, subject="News of {{ 2030 }}")).message
    differs = written(draft(data, shared=shared))
    assert (same.subject, differs.message.subject) == ("News of 2030", "For {{ name }}")
    assert differs.message.size_bytes == len(differs.copies[0])


def test_without_variables_braces_are_text() -> None:
    plain = replace(draft({}), recipients_data=None)
    (mail,) = mails(plain, Patterns(), MOST)
    assert (mail.subject, mail.text) == (SOURCES["subject"], SOURCES["text"])


def test_with_variables_alone_there_is_one_copy_for_all() -> None:
    merge = draft({}, shared={"name": "all", "note": "!"}, html=None)
    (mail,) = mails(replace(merge, recipients_data=None), Patterns(), MOST)
    assert (mail.subject, mail.text, len(mail.to)) == ("For all", "Dear all,\n!\n", 3)


def test_missing_variables_are_named_for_each_recipient() -> None:
    merge = draft({ANN: {"name": "Ann"}, BOB: {"name": "Bob", "note": "x"}}, html=None)
    assert refused(merge) == [
        (f"/recipients_data/{ANN}/note", "missing_variable"),
        (f"/recipients_data/{CAT}/name", "missing_variable"),
        (f"/recipients_data/{CAT}/note", "missing_variable"),
    ]


def test_addresses_are_named_as_the_request_wrote_them() -> None:
    merge = draft({}, to=("a/b~c@xn--bcher-kva.example",))
    assert merge.recipients_data is not None
    own = OwnData("a/b~c@bücher.example", pack({}))
    merge = replace(merge, recipients_data={"a/b~c@xn--bcher-kva.example": own})
    assert refused(merge)[0][0] == "/recipients_data/a~1b~0c@bücher.example/name"


@pytest.mark.parametrize("bad", ["\r\nBcc: eve@example.net", "\n", "a\0", "\x7f", "\x1b[2J"])
def test_a_value_that_breaks_the_subject_is_refused_and_named(bad: str) -> None:
    shared = {"name": "you", "note": "two\nlines"}
    assert refused(draft({BOB: {"name": bad}}, shared=shared, html=None, text="x")) == [
        (f"/recipients_data/{BOB}/name", "control_character")
    ]
    deep = draft({BOB: {"name": {"of": ["all", bad]}}}, shared={"name": {"of": ["", ""]}})
    deep = replace(deep, subject="For {{ name.of[1] }}", text="x", html=None)
    assert refused(deep) == [(f"/recipients_data/{BOB}/name/of/1", "control_character")]


def test_a_value_that_breaks_a_text_is_refused_and_named() -> None:
    merge = draft(
        {BOB: {"name": "two\nlines", "note": "a\0"}},
        shared={"name": "you", "note": "fine"},
        subject="x",
        html=None,
    )
    assert refused(merge) == [(f"/recipients_data/{BOB}/note", "control_character")]


def test_a_value_that_breaks_the_subject_of_all_is_refused_and_named() -> None:
    alone = replace(draft({}, shared={"name": "a\nb", "note": ""}), recipients_data=None)
    assert refused(alone) == [("/variables/name", "control_character")]


def test_a_subject_that_values_make_too_long_is_refused_for_its_recipient() -> None:
    merge = draft({ANN: {"name": "x" * 999}}, shared={"name": "you", "note": ""})
    assert refused(merge) == [(f"/recipients_data/{ANN}", "too_long")]


def test_a_template_that_is_wrong_is_refused_once() -> None:
    assert refused(draft({}, subject="", text="{% if %}", html=None)) == [
        ("/text", "invalid_template")
    ]


def test_a_template_that_works_too_long_for_one_is_not_tried_for_the_others() -> None:
    loops = "{% for a in name %}{% for b in name %}{% for c in name %}x{% endfor %}{% endfor %}{% endfor %}"
    shared = {"name": list(range(300)), "note": ""}
    merge = draft({}, shared=shared, subject="", text=loops, html=None)
    assert refused(merge) == [(f"/recipients_data/{ANN}", "template_failed")]


def test_all_recipients_together_may_take_so_long_and_no_longer() -> None:
    merge = draft({}, shared={"name": "you", "note": ""})
    assert len(mails(merge, Patterns(), MOST, iter((0.0, 0.9, 1.8, 2.0)).__next__)) == 3
    with pytest.raises(InvalidRequest, match="take too long"):
        mails(merge, Patterns(), MOST, iter((0.0, 0.9, 1.8, 2.1)).__next__)


def test_no_more_than_a_hundred_fields_are_named() -> None:
    to = [f"user{number}@example.org" for number in range(150)]
    assert len(refused(draft({}, to=to))) == 100


def test_values_are_escaped_in_html_and_nowhere_else() -> None:
    merge = draft({}, to=(ANN,), shared={"name": "<b>", "note": "&"})
    (mail,) = mails(merge, Patterns(), MOST)
    assert (mail.subject, mail.text) == ("For <b>", "Dear <b>,\n&\n")
    assert mail.html is not None
    assert "<b>" not in mail.html


def test_what_is_too_much_in_all_copies_together_is_refused_before_it_is_written() -> None:
    merge = draft({}, shared={"name": "you", "note": "x" * 100_000}, html=None)
    assert len(written(merge, most=400_000).copies) == 3
    with pytest.raises(TooLarge, match="fewer recipients"):
        mails(merge, Patterns(), 250_000)
    files = (Attachment("a.bin", "application/octet-stream", b"x" * 100_000),)
    with pytest.raises(TooLarge, match="fewer recipients"):
        mails(replace(merge, attachments=files), Patterns(), 500_000)
