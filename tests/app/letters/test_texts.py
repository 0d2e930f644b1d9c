"""A mail given as HTML only gets a text part made from it, and is never refused for the lack of one."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.letters.drafts import Draft, OwnData
from app.letters.texts import with_text_to_fill, with_texts
from app.letters.values import NO_VARIABLES, pack
from app.letters.writer import Writer
from app.mail.address import parse_mailbox
from app.settings import ContentSettings, DkimSettings, Settings, WorkshopSettings
from app.signals.metrics import WorkshopMetrics, new_registry, render
from app.workshop.workshop import Workshop
from tests.fakes.letters import PROJECT, Letter

ADA = parse_mailbox("ada@example.com")
UNSIGNED = DkimSettings(required=False)


async def written(
    workshop: Workshop, settings: Settings, *, text: str | None, html: str
) -> dict[str, str]:
    """Return the parts of the mail by their type."""
    writer = Writer(Keyring(KeyFolder(None)), workshop, settings)
    letter = (
        await writer.written(Draft(ADA, (ADA,), text=text, html=html), Letter().message())
    ).letter
    mail = message_from_bytes(letter.common, EmailMessage, policy=policy.default)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    return {part.get_content_type(): str(part.get_content()).strip() for part in parts}


@pytest.mark.parametrize(
    ("text", "html", "expected"),
    [
        (None, "<p>Grüße, <b>Ada</b></p>", "Grüße, Ada"),
        ("Own words", "<p>Hello</p>", "Own words"),
        ("", "<p>Hello</p>", ""),
    ],
    ids=["none given", "some given", "an empty one given"],
)
async def test_the_text_of_a_mail_with_html(
    workshop: Workshop, text: str | None, html: str, expected: str
) -> None:
    parts = await written(workshop, Settings(dkim=UNSIGNED), text=text, html=html)
    assert parts == {"text/plain": expected, "text/html": html}


async def test_a_mail_of_pictures_gets_no_empty_text(workshop: Workshop) -> None:
    parts = await written(workshop, Settings(dkim=UNSIGNED), text=None, html="<img src='x.png'>")
    assert list(parts) == ["text/html"]


async def test_the_setting_leaves_mails_as_they_are(workshop: Workshop) -> None:
    settings = Settings(dkim=UNSIGNED, content=ContentSettings(text_from_html=False))
    assert list(await written(workshop, settings, text=None, html="<p>x</p>")) == ["text/html"]


@pytest.mark.parametrize(
    ("html", "why"),
    [("<div>" * 10_000 + "x", "too_deep"), ("<p>" + "x" * 60_000, "too_large")],
    ids=["too deep", "too large"],
)
async def test_html_that_gives_no_text_is_sent_without_and_counted(html: str, why: str) -> None:
    registry = new_registry()
    limits = WorkshopSettings(max_input_bytes=50_100)
    async with Workshop(limits, WorkshopMetrics(registry)).opened() as workshop:
        parts = await written(workshop, Settings(dkim=UNSIGNED), text=None, html=html)
    assert list(parts) == ["text/html"]
    counted = f'pillarbox_workshop_texts_total{{craft="plaintext",result="{why}"}} 1.0'
    assert counted in render(registry).decode()


async def test_copies_whose_texts_take_long_together_are_all_sent_without(
    workshop: Workshop,
) -> None:
    copies = [Draft(ADA, (ADA,), html=f"<p>{number}</p>") for number in range(3)]
    assert await with_texts(copies, PROJECT, workshop, seconds=0) == tuple(copies)
    made = await with_texts(copies, PROJECT, workshop)
    assert [draft.text for draft in made] == ["0", "1", "2"]


ROWS = "{% for row in rows %}<li>{{ row }}</li>{% endfor %}"
TO_FILL = {
    "values": ("<p>{{ name }} &amp; <b title='{{ name }}'>you</b></p>", "{{ name }} & you", True),
    "blocks": (f"<ul>{ROWS}</ul>", None, True),
    "a link": ("<a href='{{ name }}'>Look here</a>", "Look here ({{name}})", True),
    "rows": (
        "<table>{% for row in rows %}<tr><td>{{ row }}</td></tr>{% endfor %}</table>",
        None,
        True,
    ),
    "blocks that a table moves": (
        "<table><tr><th>x</th><th>y</th></tr>{% for row in rows %}<tr><td>{{ row }}</td><td>z</td></tr>"
        "{% endfor %}</table>",
        None,
        False,
    ),
    "words that a table leaves behind": (
        "<table><tr><th>one</th><th>two</th></tr>{% if not name %}<tr><td>se</td><td>cret</td></tr>"
        "{% endif %}</table>",
        None,
        False,
    ),
    "a comparison that looks like a tag": (
        "<p>{% if rows <p %}{{ name }}{% endif %}</p>",
        None,
        False,
    ),
    "braces that are meant as text": ("<p>&#123;&#123; name }} {{ name }}</p>", None, False),
    "a tag with a brace": ("<p>{{ name | default('{') }} {{ name }}</p>", None, False),
    "pictures alone": ("<img src='{{ name }}'>", None, False),
    "blocks in attributes alone": (
        "<p {% if name %}class='a'{% endif %}>{{ name }}</p>",
        None,
        False,
    ),
}


@pytest.mark.parametrize(("html", "text", "is_made"), TO_FILL.values(), ids=TO_FILL)
async def test_a_text_to_fill_is_made_where_it_keeps_what_the_html_says(
    workshop: Workshop, html: str, text: str | None, is_made: bool
) -> None:
    draft = Draft(ADA, (ADA,), html=html, variables=NO_VARIABLES)
    made = await with_text_to_fill(draft, PROJECT, workshop)
    assert (made.text is not None) == is_made
    assert text is None or made.text == text
    for other in (replace(draft, variables=None), replace(draft, text="{{ name }}")):
        assert await with_text_to_fill(other, PROJECT, workshop) == other


async def test_many_spaces_before_a_link_are_read_as_quickly_as_words(workshop: Workshop) -> None:
    # Shared out between both sides of a quotation mark in every way, this takes minutes.
    draft = Draft(ADA, (ADA,), html=f"<a href={' ' * 200_000}>Ada</a>", variables=NO_VARIABLES)
    assert (await with_text_to_fill(draft, PROJECT, workshop)).text == "Ada"


@pytest.mark.parametrize("html", [html for html, _, _ in TO_FILL.values()], ids=TO_FILL)
async def test_each_copy_of_a_merge_has_a_text_with_its_values(
    workshop: Workshop, html: str
) -> None:
    names = {"ada@example.com": "<Ada>", "bob@example.net": "Bob"}
    draft = Draft(
        ADA,
        tuple(map(parse_mailbox, names)),
        html=html,
        variables=pack({"rows": ["one", "two"]}),
        recipients_data={to: OwnData(to, pack({"name": name})) for to, name in names.items()},
    )
    if "<p %}" in html:
        draft = replace(draft, html=html.replace("rows <p", "1 < 2"))
    writer = Writer(Keyring(KeyFolder(None)), workshop, Settings(dkim=UNSIGNED))
    letter = (await writer.written(draft, Letter(to=tuple(names), is_merged=True).message())).letter
    for raw, name in zip(letter.copies, names.values(), strict=True):
        mail = message_from_bytes(raw, EmailMessage, policy=policy.default)
        plain = mail.get_body(("plain",))
        words = str(plain.get_content()) if plain else name
        assert plain or "img" in html
        assert name in words or ("one" in words and "two" in words)
        assert "{" not in words.replace("{{ name }}", "")
        assert "cret" not in words
