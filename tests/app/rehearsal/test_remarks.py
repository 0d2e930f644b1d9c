"""Warnings: each has a mail that gets it, and none is for a mail that is as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.letters.drafts import Draft, Options, RawDraft
from app.mail.address import Mailbox, parse_address
from app.mail.finished.reading import read_mail
from app.mail.mime.content import Attachment
from app.mail.threads import Thread
from app.messages import Stream
from app.rehearsal.contents import MOST_LOOKED_AT, content_remarks
from app.rehearsal.heads import head_remarks
from app.rehearsal.links import link_remark
from app.rehearsal.remarks import Code
from tests.app.rehearsal.test_markup import HOSTILE

LOGO = Attachment("logo.png", "image/png", b"\x89PNG", "logo@shop.example")
GOOD = Draft(
    sender=Mailbox("The Shop", parse_address("hello@shop.example")),
    to=(Mailbox("", parse_address("ada@example.com")),),
    subject="Your order 1815 has shipped",
    text="It will be with you on Friday: https://shop.example/orders/1815",
    html=(
        '<!doctype html><html><head><meta charset="utf-8"><title>Shipped</title><style>p > a { color: red }'
        '</style></head><body><img src="cid:logo@shop.example" alt="The Shop"><h1 id="top">Shipped</h1><p>It '
        'will be with you on <a href="https://shop.example/orders/1815?a=1&amp;b=%20">Friday</a>. <a href="#top">'
        'Up</a> <a href="mailto:hello@shop.example?subject=order%201815">Write</a> or <a '
        'href="tel:+4930123">call</a> us.'
        '<img src="https://shop.example/o.gif" width="1" height="1"></p></body></html>'
    ),
    attachments=(LOGO,),
)
SENT = ("from", "to", "subject", "date", "message-id")
BULK = Options(stream=Stream.BULK)


def codes(mail: Draft, names: Sequence[str] = SENT) -> set[str]:
    return {str(each.code) for each in (*head_remarks(mail, names), *content_remarks(mail))}


def html(body: str) -> dict[str, object]:
    return {"html": f"<p>It will be with you on Friday.</p>{body}", "attachments": ()}


BAD: list[tuple[Mapping[str, object], set[str]]] = [
    ({"subject": ""}, {"subject_empty"}),
    ({"subject": " \u00a0"}, {"subject_empty"}),
    ({"subject": "word " * 31}, {"subject_long"}),
    ({"subject": "YOUR ORDER HAS SHIPPED"}, {"subject_capitals"}),
    ({"subject": "Re: your order"}, {"subject_reply"}),
    ({"subject": "AW : Bestellung"}, {"subject_reply"}),
    ({"subject": "Hello {{ name }}"}, {"value_left"}),
    ({"text": "Hello {{ user.name | title }}"}, {"value_left"}),
    ({"text": "{% if vip %}Hello{% endif %}"}, {"value_left"}),
    ({"text": "", "html": None, "attachments": ()}, {"content_empty"}),
    ({"text": None}, {"no_text"}),
    ({"text": " \n"}, {"text_empty"}),
    (html(f"<p>{'a ' * 53_000}</p>"), {"html_large"}),
    ({"html": '<a href="https://a.example"><img src="https://a.example/a.png" alt="Hi"></a>', "attachments": ()},
     {"image_only"}),
    (html('<img src="https://shop.example/a.png">'), {"image_without_alt"}),
    (html('<img alt="" src="data:image/png;base64,AAAA">'), {"image_in_url"}),
    (html('<img alt="" src="cid:logo">'), {"image_missing"}),
    (html('<style>p { background: url("cid:logo") }</style>'), {"image_missing"}),
    (html("") | {"attachments": (LOGO,)}, {"image_unused"}),
    ({"html": None}, {"image_unused"}),
    (html("<script>alert(1)</script>"), {"element_dropped"}),
    (html("<form action='https://a.example'></form>"), {"element_dropped"}),
    (html("<iframe src='https://a.example'></iframe>"), {"element_dropped"}),
    (html("<object></object><video></video>"), {"element_dropped"}),
    (html('<link rel="stylesheet" href="https://a.example/a.css">'), {"style_outside"}),
    (html("<style>@import url(https://a.example/a.css)</style>"), {"style_outside"}),
    (html("<a href=''>x</a>"), {"link_empty"}),
    (html("<a href=' # '>x</a>"), {"link_empty"}),
    (html("<a href='/orders'>x</a>"), {"link_relative"}),
    (html("<a href='www.shop.example'>x</a>"), {"link_relative"}),
    (html("<a href='//shop.example/'>x</a>"), {"link_relative"}),
    (html("<a href='http://shop.example/'>x</a>"), {"link_insecure"}),
    (html("<a href='JavaScript:void(0)'>x</a>"), {"link_script"}),
    (html("<a href='https://shop.example/a b'>x</a>"), {"link_broken"}),
    (html("<a href='https:///orders'>x</a>"), {"link_broken"}),
    (html("<a href='https:'>x</a>"), {"link_broken"}),
    (html("<area href='{{ url }}'>"), {"value_left"}),
    ({"options": BULK}, {"no_unsubscribe"}),
    ({"sender": Mailbox("billing@bank.example", parse_address("hello@shop.example"))}, {"name_is_address"}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "found"), BAD, ids=lambda value: str(value)[:60])
def test_what_had_better_not_be_sent_is_remarked_on(
    fields: Mapping[str, object], found: set[str]
) -> None:
    assert codes(replace(GOOD, **fields)) == found  # type: ignore[arg-type]  # fields of a table


FINE: list[tuple[Mapping[str, object], Sequence[str]]] = [
    ({}, SENT),
    ({"subject": "ISBN 978-3-16-148410-0"}, SENT),
    ({"subject": "SALE"}, SENT),
    ({"subject": "Rechnung: 5", "html": None, "attachments": ()}, SENT),
    ({"subject": "Re: your order"}, (*SENT, "in-reply-to")),
    ({"options": BULK}, (*SENT, "list-unsubscribe", "list-unsubscribe-post")),
    ({"sender": Mailbox("Hello@Shop.example", parse_address("hello@shop.example"))}, SENT),
    ({"sender": Mailbox("Ada @ Shop", parse_address("hello@shop.example"))}, SENT),
    ({"text": "", "html": None, "attachments": (replace(LOGO, content_id=None),)}, SENT),
    ({"text": "f(x) = {{1, 2}, {3}} { name } {{}} 100%}"}, SENT),
    (html('<img alt="" src="https://shop.example/a b.png"><IMG ALT=x SRC=https://a.example/b>'), SENT),
    (html("<!--[if mso]><a href=''><![endif]--><a name=top>x</a><textarea><form></textarea>"), SENT),
    (html("<!--[if mso]><v:image src='cid:logo%40shop.example'><![endif]-->") | {"attachments": (LOGO,)}, SENT),
    (html("<link rel=icon href=https://a.example/b><style>.a{color:red}</style>"), SENT),
    (html("<a href='sms:+4930'>x</a><a href=' https://a.example/\n'>x</a><a href='HTTPS://A.example'>"), SENT),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "names"), FINE, ids=lambda value: str(value)[:60])
def test_nothing_is_said_of_a_mail_that_is_as_it_should_be(
    fields: Mapping[str, object], names: Sequence[str]
) -> None:
    changed = {"attachments": (), **fields} if fields.get("html", 0) is None else fields
    assert codes(replace(GOOD, **changed), names) == set()  # type: ignore[arg-type]  # fields of a table


def test_an_answer_with_its_thread_is_none_by_name_only() -> None:
    mail = replace(GOOD, subject="Re: x", thread=Thread("1@shop.example"))
    assert "subject_reply" not in codes(mail, [*SENT, "references"])


def test_a_finished_mail_is_remarked_on_where_its_header_is() -> None:
    mail = read_mail(b"From: a@b.example\r\nSubject: RE: x\r\n\r\n")
    draft = RawDraft(mail, parse_address("a@b.example"), (parse_address("c@d.example"),), BULK)
    found = [(each.code, each.pointer) for each in head_remarks(draft, mail.names)]
    assert found == [
        (Code.SUBJECT_REPLY, "/header/subject"),
        (Code.NO_UNSUBSCRIBE, "/header/list-unsubscribe"),
    ]


def test_each_detail_says_what_to_do_in_one_readable_sentence() -> None:
    for fields, _ in BAD:
        mail = replace(GOOD, **fields)  # type: ignore[arg-type]  # fields of a table
        for each in (*head_remarks(mail, SENT), *content_remarks(mail)):
            assert each.detail.isprintable()
            assert ":" in each.detail
            assert len(each.detail) < 300


def test_the_guide_tells_of_each_code() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "dryrun.md").read_text()
    assert [code for code in Code if f"`{code}`" not in guide] == []


def test_many_bad_links_make_few_remarks() -> None:
    links = "".join(f"<a href='/{number}'>x</a>" for number in range(1_000))
    assert len(list(content_remarks(replace(GOOD, **html(links))))) == 20  # type: ignore[arg-type]  # fields of a table


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_html_is_looked_at_to_a_bound(name: str) -> None:
    hostile = (HOSTILE[name] * 3)[: 3 * MOST_LOOKED_AT]
    assert len(list(content_remarks(replace(GOOD, html=hostile)))) < 50


@pytest.mark.parametrize(
    "text", ["{{" * 200_000, "{{ a|" * 100_000, "{%" * 200_000, "cid:" * 200_000]
)
def test_hostile_text_is_looked_at_to_a_bound(text: str) -> None:
    assert len(list(content_remarks(replace(GOOD, subject=text, text=text, html=text)))) < 50
    link_remark(text, "")
