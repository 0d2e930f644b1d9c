"""The library: which template a mail is made from, and how rarely Redis is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import InvalidRequest, SpoolUnavailable
from app.ids import ProjectId
from app.letters.drafts import Draft, TemplateRef
from app.letters.library import Library
from app.letters.values import NO_VARIABLES, pack
from app.mail.address import parse_mailbox
from app.projects.templates import Templates, Version, Wording
from app.settings import RedisSettings, TemplateSettings
from app.spool.client import Redis

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
ADA = parse_mailbox("ada@example.com")


def version(subject: str) -> Version:
    return Version(Wording(subject, "<p>", "text"), "<p>", (), (), datetime.now(UTC))


def draft(name: str = "welcome", number: int | None = None, subject: str = "") -> Draft:
    return Draft(ADA, (ADA,), subject=subject, template=TemplateRef(name, number))


class Seconds:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def templates(valkey_url: str) -> AsyncIterator[Templates]:
    """Templates of two projects, of which one has `welcome` in two versions."""
    async with Redis.connect(RedisSettings(url=valkey_url)) as redis:
        templates = Templates(redis, TemplateSettings())
        await templates.create(SHOP, "welcome", version("first"))
        await templates.add(SHOP, "welcome", version("second"), is_current=True)
        yield templates


async def subject(library: Library, wanted: Draft, project: ProjectId = SHOP) -> str:
    return (await library.applied(wanted, project)).subject


async def test_template_says_the_parts_and_is_filled_even_without_variables(
    templates: Templates,
) -> None:
    library = Library(templates, timedelta(seconds=2))
    applied = await library.applied(draft(), SHOP)
    assert (applied.subject, applied.html, applied.text, applied.amp) == (
        "second",
        "<p>",
        "text",
        None,
    )
    assert (applied.template, applied.variables) == (None, NO_VARIABLES)
    assert await subject(library, draft(number=1)) == "first"
    assert await subject(library, draft(subject="own")) == "own"


async def test_draft_without_a_template_stays_as_it_is(templates: Templates) -> None:
    plain = Draft(ADA, (ADA,), subject="a", variables=pack({"b": 1}))
    assert await Library(templates, timedelta(seconds=2)).applied(plain, SHOP) is plain


async def test_template_that_is_not_there_is_refused_also_that_of_another_project(
    templates: Templates,
) -> None:
    library = Library(templates, timedelta(seconds=2))
    await library.applied(draft(), SHOP)
    for wanted, project in ((draft(), OTHER), (draft("nothing"), SHOP), (draft(number=3), SHOP)):
        with pytest.raises(InvalidRequest) as caught:
            await library.applied(wanted, project)
        (field,) = caught.value.fields
        assert (field.pointer, field.code) == ("/template", "template_not_found")


async def test_current_version_is_asked_again_after_a_while(templates: Templates) -> None:
    clock = Seconds()
    library = Library(templates, timedelta(seconds=2), clock)
    assert await subject(library, draft()) == "second"
    await templates.choose(SHOP, "welcome", 1)
    assert await subject(library, draft()) == "second"
    clock.now = 2.1
    assert await subject(library, draft()) == "first"


async def test_what_is_remembered_needs_no_redis(templates: Templates) -> None:
    clock = Seconds()
    async with Redis.connect(RedisSettings(url="redis://127.0.0.1:1/0")) as away:
        library = Library(templates, timedelta(seconds=2), clock)
        await library.applied(draft(), SHOP)
        library.source = Templates(away, TemplateSettings())
        assert await subject(library, draft()) == "second"
        clock.now = 2.1
        with pytest.raises(SpoolUnavailable):
            await library.applied(draft(), SHOP)


async def test_template_made_again_under_its_name_is_another_one(templates: Templates) -> None:
    clock = Seconds()
    library = Library(templates, timedelta(seconds=2), clock)
    assert await subject(library, draft(number=1)) == "first"
    await templates.remove(SHOP, "welcome")
    clock.now = 2.1
    with pytest.raises(InvalidRequest):
        await library.applied(draft(), SHOP)
    await templates.create(SHOP, "welcome", version("made again"))
    assert await subject(library, draft(number=1)) == "made again"


async def test_versions_are_remembered_within_bounds(templates: Templates) -> None:
    library = Library(templates, timedelta(seconds=2), most_characters=5_000)
    for number in range(10):
        name = f"t{number}"
        await templates.create(SHOP, name, version(name))
        assert await subject(library, draft(name)) == name
    assert library.characters <= 5_000
    assert await subject(library, draft("t0")) == "t0"
