"""The bench: the child process, which makes pieces until its standard input ends.

Run as `python -m app.workshop.bench MEMORY_BYTES`. It says hello by one empty answer once it can work; from
then on it can open nothing: no file, no socket, no process.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO

from app.workshop.mjml import rendered
from app.workshop.orders import (
    LENGTH_BYTES,
    Answer,
    Craft,
    Order,
    Piece,
    Trouble,
    WorkshopRefusal,
    framed,
    length_of,
    unframed,
)
from app.workshop.plaintext import text_of
from app.workshop.styles import inlined

_CRAFTS: Mapping[Craft, Callable[[str], Piece]] = {
    Craft.MJML: rendered,
    Craft.STYLES: inlined,
    Craft.PLAINTEXT: text_of,
}
_SAMPLES: Mapping[Craft, str] = {
    Craft.MJML: "<mjml><mj-body><mj-raw>x</mj-raw></mj-body></mjml>",
    Craft.STYLES: "<style>p{margin:0}</style><p>x</p>",
    Craft.PLAINTEXT: "<ul><li>x</li></ul><table><tr><td>x</td><td>x</td></tr></table>",
}
_OPEN_FILES = 3
"""Standard input, output and error: they stay, and nothing joins them."""


def serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Answer each order, until there are no more."""
    answers.write(framed(Answer()))
    answers.flush()
    while len(head := orders.read(LENGTH_BYTES)) == LENGTH_BYTES:
        order = unframed(orders.read(length_of(head)), Order)
        _limit_time(order.cpu_s)
        answers.write(framed(_answer(order)))
        answers.flush()


def _answer(order: Order) -> Answer:
    try:
        piece = _CRAFTS[order.craft](order.text)
    except WorkshopRefusal as refusal:
        return Answer(None, refusal.trouble, refusal.reason)
    if len(piece.text.encode(errors="replace")) > order.most_bytes:
        return Answer(
            None, Trouble.TOO_LARGE, f"what becomes of it has more than {order.most_bytes} bytes"
        )
    return Answer(piece)


def _limit_time(cpu_s: int) -> None:
    """End this process, should it work longer than that from now on and nobody be there to end it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    _lower(resource.RLIMIT_CPU, used + cpu_s + 1)


def _confine(memory_bytes: int) -> None:
    """Give away what the work does not need; not every system has all of these limits."""
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_NPROC, 0)


def _lower(limit: int, to: int) -> None:
    try:
        resource.setrlimit(limit, (to, resource.getrlimit(limit)[1]))
    except (OSError, ValueError):
        return  # macOS knows RLIMIT_AS and lets nobody set it


def main() -> None:
    """Load and try all that is needed, then confine the process and serve."""
    for craft, sample in _SAMPLES.items():
        _CRAFTS[craft](sample)
    _confine(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
