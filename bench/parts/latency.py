"""How long things take: from POST to 202 at half load, and from POST to MAIL FROM with nothing else to do."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import uvloop

from app.processes.ports import free_port
from bench import load
from bench.contenders import pillarbox, race
from bench.figures import Figures, Size, milliseconds, wait_for
from bench.processor import Meter
from bench.say import say
from bench.sink import MomentSink, smtp_sink
from bench.stack import Stack, running, to_one_sink

_FIRSTS = 100
_BETWEEN_S = 0.1
_IDLE_S = 10.0
_PAUSE_S = 3.0
"""What a measurement leaves behind (kept connections, a rewrite of the append-only file) is over then."""


def measure(size: Size, directory: Path) -> Figures:
    """Measure with the rate found first, and then on an idle system."""
    port = free_port()
    with running(directory / "pillarbox", to_one_sink(port)) as stack:
        with smtp_sink(port):
            say("the rate that is full load")
            full = race([pillarbox(stack)], size.mails, 1, {})["pillarbox"].rate
            accepts = _accepts(stack, full / 2, size.paced)
        time.sleep(_PAUSE_S)
        say("first attempts on an idle system")
        firsts = asyncio.run(_first_attempts(stack, port))
        time.sleep(_PAUSE_S)
        say("idling")
        meter = Meter(stack.pids)
        time.sleep(_IDLE_S)
        idle = meter.spent()
    return {
        **milliseconds("accept", accepts),
        **milliseconds("first_attempt", firsts),
        **{f"idle_{name}_percent": idle[name] / _IDLE_S * 100 for name in stack.pids},
    }


def _accepts(stack: Stack, rate: float, mails: int) -> list[float]:
    say(f"from POST to 202 at {rate:.0f} mails/s")
    time.sleep(_PAUSE_S)
    before = stack.delivered()
    posted = uvloop.run(load.pace(stack.api, load.requests(stack.api, mails), rate))
    wait_for(lambda: stack.delivered() - before >= mails)
    return [each.answered_at - each.sent_at for each in posted]


async def _first_attempts(stack: Stack, port: int) -> list[float]:
    """Return seconds from POST to MAIL FROM for mails that come one by one."""
    moments: asyncio.Queue[float] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(
        lambda: MomentSink(moments), "127.0.0.1", port
    )
    async with server:
        taken = []
        for number in range(_FIRSTS):
            posted = await load.post_once(stack.api, f"customer{number}@example.org")
            taken.append(await asyncio.wait_for(moments.get(), 30) - posted.sent_at)
            await asyncio.sleep(_BETWEEN_S)
    return taken
