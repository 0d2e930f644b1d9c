"""A mail given as HTML only gets a text part made from it, and is never refused for the lack of one."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from app.letters.drafts import Draft
from app.letters.writer import Writer
from app.mail.address import parse_mailbox
from app.projects.keyring import Keyring
from app.settings import ContentSettings, DkimSettings, Settings, WorkshopSettings
from app.signals.metrics import WorkshopMetrics, new_registry, render
from app.workshop.workshop import Workshop
from tests.fakes.letters import Letter

ADA = parse_mailbox("ada@example.com")
UNSIGNED = DkimSettings(required=False)


async def written(
    workshop: Workshop, settings: Settings, *, text: str | None, html: str
) -> dict[str, str]:
    """Return the parts of the mail by their type."""
    writer = Writer(Keyring(None), workshop, settings)
    letter = await writer.write(Draft(ADA, (ADA,), text=text, html=html), Letter().message())
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
