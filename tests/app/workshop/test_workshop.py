"""The door of the workshop: what it refuses, whose turn it is, and what is counted."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.errors import WorkshopBusy
from app.settings import WorkshopSettings
from app.signals.metrics import WorkshopMetrics, new_registry, render
from app.workshop.orders import Piece, Trouble, WorkshopRefusal
from app.workshop.shelf import Shelf
from app.workshop.turns import Turns
from app.workshop.workshop import Workshop


async def test_a_hundred_callers_get_each_their_own_piece(workshop: Workshop) -> None:
    made = await asyncio.gather(
        *(workshop.text_of_html(f"<p>Letter {n}</p>", f"p{n % 7}") for n in range(100))
    )
    assert [piece.text for piece in made] == [f"Letter {n}" for n in range(100)]


async def test_several_children_work_side_by_side() -> None:
    settings = WorkshopSettings(children=2)
    async with Workshop(settings, WorkshopMetrics(new_registry())).opened() as workshop:
        await asyncio.gather(
            *(workshop.text_of_html(f"<p>{n}</p>" * 500, f"p{n}") for n in range(6))
        )
        pids = {artisan.pid for artisan in workshop.artisans}
    assert len(pids) == 2
    assert None not in pids


@pytest.mark.parametrize(
    ("html", "trouble"),
    [
        ("<p>" + "x" * 512_000, Trouble.TOO_LARGE),
        ("<div>" * 201, Trouble.TOO_DEEP),
        ("<div>" * 100_000, Trouble.TOO_DEEP),
        ("<p>\ud800", Trouble.INVALID),
    ],
    ids=["too large", "too deep", "far too deep", "lone surrogate"],
)
async def test_what_would_only_occupy_a_child_is_refused_without_one(
    workshop: Workshop, html: str, trouble: Trouble
) -> None:
    with pytest.raises(WorkshopRefusal) as caught:
        await workshop.with_inlined_css(html, "shop")
    assert caught.value.trouble is trouble
    assert all(artisan.pid is None for artisan in workshop.artisans)


async def test_mjml_is_counted_as_xml(workshop: Workshop) -> None:
    mjml = "<mjml><mj-body><mj-raw>" + "<p>x" * 300 + "</mj-raw></mj-body></mjml>"
    with pytest.raises(WorkshopRefusal) as caught:
        await workshop.html_of_mjml(mjml, "shop")
    assert caught.value.trouble is Trouble.TOO_DEEP


async def test_deep_html_makes_no_text_and_no_harm(workshop: Workshop) -> None:
    with pytest.raises(WorkshopRefusal) as caught:
        await workshop.text_of_html("<div>" * 100_000 + "x", "shop")
    assert caught.value.trouble is Trouble.TOO_DEEP
    assert (await workshop.text_of_html("<p>Hello</p>", "shop")).text == "Hello"


async def test_too_many_waiting_texts_are_turned_away() -> None:
    settings, registry = WorkshopSettings(max_waiting=2), new_registry()
    async with Workshop(settings, WorkshopMetrics(registry)).opened() as workshop:
        results = await asyncio.gather(
            *(workshop.text_of_html(f"<p>{n}</p>", "shop") for n in range(9)),
            return_exceptions=True,
        )
    busy = [result for result in results if isinstance(result, WorkshopBusy)]
    assert 0 < len(busy) < 9
    counted = f'pillarbox_workshop_texts_total{{craft="plaintext",result="busy"}} {len(busy)}.0'
    assert counted in render(registry).decode()


async def test_one_project_fills_only_half_of_the_queue() -> None:
    settings = WorkshopSettings(max_waiting=8)
    async with Workshop(settings, WorkshopMetrics(new_registry())).opened() as workshop:
        greedy = [
            asyncio.create_task(workshop.text_of_html(f"<p>{n}</p>", "greedy")) for n in range(20)
        ]
        await asyncio.sleep(0)
        assert (await workshop.text_of_html("<p>Hello</p>", "shop")).text == "Hello"
        results = await asyncio.gather(*greedy, return_exceptions=True)
    assert sum(isinstance(result, WorkshopBusy) for result in results) >= 15


async def test_what_was_made_lately_is_not_made_again(workshop: Workshop) -> None:
    first = await workshop.text_of_html("<p>Hello</p>", "shop")
    assert await workshop.text_of_html("<p>Hello</p>", "shop") is first
    assert await workshop.text_of_html("<p>Hello</p>", "other") is not first
    assert (await workshop.with_inlined_css("<p>Hello</p>", "shop")).text != first.text


def test_the_shelf_forgets_what_was_not_asked_for_the_longest() -> None:
    shelf, pieces = Shelf(3_000), [Piece(letter * 100) for letter in "abc"]
    for number, piece in enumerate(pieces[:2]):
        shelf.keep(bytes([number]), piece)
    assert shelf.find(b"\0") is pieces[0]
    shelf.keep(b"\0", pieces[0])
    shelf.keep(b"\2", pieces[2])
    shelf.keep(b"\3", Piece("d" * 100))
    assert shelf.find(b"\1") is None
    assert shelf.find(b"\0") is pieces[0]
    shelf.keep(b"\4", Piece("e" * 3_000))
    assert all(shelf.find(bytes([number])) is None for number in range(5))


async def test_who_waits_when_the_process_stops_is_told() -> None:
    settings = WorkshopSettings(timeout=timedelta(hours=1))
    metrics = WorkshopMetrics(new_registry())
    async with Workshop(settings, metrics).opened() as workshop:
        waiting = [
            asyncio.create_task(workshop.text_of_html("<p>x</p>" * 1000, "shop")) for _ in range(3)
        ]
        await asyncio.sleep(0)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, WorkshopBusy)


async def test_a_caller_who_left_is_not_worked_for(workshop: Workshop) -> None:
    leaving = asyncio.create_task(workshop.text_of_html("<p>x</p>", "shop"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await workshop.text_of_html("<p>Hello</p>", "shop")).text == "Hello"


async def test_projects_take_turns() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        turns.put(item[0], item)
    assert len(turns) == 6
    assert [await turns.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert len(turns) == 0


async def test_a_taker_waits_until_there_is_something() -> None:
    turns: Turns[str] = Turns()
    taking = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    assert not taking.done()
    turns.put("a", "a1")
    assert await taking == "a1"
