"""The child process: what it survives, what replaces it, and what it is never able to do."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from app.workshop.artisan import Artisan, BenchLost, Means
from app.workshop.orders import Craft, Trouble, WorkshopRefusal
from tests.fakes.waiting import eventually, wait_until

_ENDLESS = "<div>" * 90_000 + "x" + "</div>" * 90_000
"""Takes many seconds where nobody counts how deep it is."""


def nested_mjml(depth: int) -> str:
    inner = "<div>" * depth + "x" + "</div>" * depth
    section = f"<mj-section><mj-column><mj-text>{inner}</mj-text></mj-column></mj-section>"
    return f"<mjml><mj-body>{section}</mj-body></mjml>"


async def refusal_of(artisan: Artisan, craft: Craft, text: str) -> WorkshopRefusal:
    with pytest.raises(WorkshopRefusal) as caught:
        await artisan.make(craft, text)
    return caught.value


async def works(artisan: Artisan) -> bool:
    return (await artisan.make(Craft.PLAINTEXT, "<p>Hello")).text == "Hello"


async def test_one_child_makes_piece_after_piece(artisan: Artisan) -> None:
    assert artisan.pid is None
    assert await works(artisan)
    first = artisan.pid
    assert (
        "<p style" in (await artisan.make(Craft.STYLES, "<style>p{margin:0}</style><p>x</p>")).text
    )
    assert "<!doctype html>" in (await artisan.make(Craft.MJML, nested_mjml(1))).text
    assert artisan.pid == first


async def test_a_text_that_crashes_a_library_is_refused_and_the_next_one_made(
    artisan: Artisan,
) -> None:
    assert await works(artisan)
    first = artisan.pid
    refusal = await refusal_of(artisan, Craft.MJML, nested_mjml(100_000))
    assert refusal.trouble is Trouble.FAILED
    assert "simpler" in refusal.reason
    assert await works(artisan)
    assert artisan.pid != first


async def test_a_text_that_takes_too_long_is_refused_and_the_next_one_made() -> None:
    means = Means(timedelta(seconds=1), memory_bytes=256_000_000, most_bytes=2_000_000)
    async with Artisan(means) as hasty:
        refusal = await refusal_of(hasty, Craft.STYLES, _ENDLESS)
        assert refusal.trouble is Trouble.TOO_SLOW
        assert hasty.pid is None

        async def works_again() -> bool:
            # On a machine that is very busy, one second may be too little even for this.
            return await _made(hasty) == "Hello"

        assert await eventually(works_again)


async def test_a_text_that_becomes_too_much_for_the_memory_is_refused(artisan: Artisan) -> None:
    bomb = f"<style>p{{background:url({'x' * 100_000})}}</style>{'<p>' * 50_000}"
    assert (await refusal_of(artisan, Craft.STYLES, bomb)).trouble is Trouble.FAILED
    assert await works(artisan)


async def test_a_piece_that_is_too_large_is_refused(artisan: Artisan) -> None:
    much = f"<style>p{{background:url({'x' * 1_000})}}</style>{'<p>' * 4_000}"
    assert (await refusal_of(artisan, Craft.STYLES, much)).trouble is Trouble.TOO_LARGE


async def test_who_waits_for_a_child_that_is_killed_gets_an_answer(artisan: Artisan) -> None:
    assert await works(artisan)
    assert artisan.pid
    working = asyncio.create_task(artisan.make(Craft.STYLES, _ENDLESS))
    await asyncio.sleep(0)  # the order is on its way
    os.kill(artisan.pid, signal.SIGKILL)
    with pytest.raises(WorkshopRefusal) as caught:
        await working
    assert caught.value.trouble is Trouble.FAILED
    assert await works(artisan)


async def test_a_child_that_died_while_nobody_looked_is_replaced(artisan: Artisan) -> None:
    assert await works(artisan)
    assert artisan.pid
    os.kill(artisan.pid, signal.SIGKILL)
    wait_until(lambda: not _lives(artisan.pid or 0))
    results = [await _made(artisan) for _ in range(2)]
    # Whether the loss is seen before the order or by it is a matter of luck; the next one is made.
    assert results[1] == "Hello"


async def test_who_gives_up_gets_nobody_elses_piece(artisan: Artisan) -> None:
    assert await works(artisan)
    working = asyncio.create_task(artisan.make(Craft.STYLES, _ENDLESS))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await works(artisan)


async def test_a_child_that_cannot_start_is_told_of(
    artisan: Artisan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(BenchLost):
            await artisan.make(Craft.PLAINTEXT, "x")
    assert await works(artisan)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_the_child_has_no_secrets_and_can_open_nothing(
    artisan: Artisan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILLARBOX_REDIS__URL", "redis://:secret@redis")
    assert await works(artisan)
    process = Path(f"/proc/{artisan.pid}")
    assert b"PILLARBOX" not in (process / "environ").read_bytes()
    limits = {
        line[:26].strip(): line[26:].split()[0]
        for line in (process / "limits").read_text().splitlines()
    }
    opened = {int(path.name) for path in (process / "fd").iterdir()}
    assert opened == {0, 1, 2}
    assert limits["Max open files"] == "3"
    assert limits["Max processes"] == limits["Max file size"] == limits["Max core file size"] == "0"
    assert limits["Max address space"] == "256000000"
    assert limits["Max cpu time"].isdecimal()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_child_ends_with_its_parent_even_in_the_middle_of_its_work() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert _lives(pid)
        parent.kill()
        parent.wait()
        wait_until(lambda: not _lives(pid))


_PARENT = f"""
import asyncio
from datetime import timedelta
from app.workshop.artisan import Artisan, Means
from app.workshop.orders import Craft

async def main():
    async with Artisan(Means(timedelta(hours=1), 256_000_000, 1_000_000)) as artisan:
        await artisan.make(Craft.PLAINTEXT, "x")
        working = asyncio.create_task(artisan.make(Craft.STYLES, {"<div>" * 9!r} * 10_000))
        await asyncio.sleep(0)
        print(artisan.pid, flush=True)
        await working

asyncio.run(main())
"""


def _lives(pid: int) -> bool:
    """Tell whether the process does anything: a dead one may wait for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _made(artisan: Artisan) -> str:
    try:
        return (await artisan.make(Craft.PLAINTEXT, "<p>Hello")).text
    except WorkshopRefusal as refusal:
        return refusal.reason
