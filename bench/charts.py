"""Bar charts as SVG, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT = 720, 190, 90
_TOP, _ROW, _GAP, _BAR = 64, 24, 14, 16
_STYLE = """\
.page{fill:#fff;stroke:#d0d7de}.text{fill:#1f2328}.quiet{fill:#59636e}.line{stroke:#1f2328}.rule{stroke:#d0d7de}
.c0{fill:#0b6bcb}.c1{fill:#8c959f}.c2{fill:#c98a1b}.c3{fill:#5aa9f0}.c4{fill:#a5cdf5}
text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}
@media(prefers-color-scheme:dark){
.page{fill:#0d1117;stroke:#3d444d}.text{fill:#f0f6fc}.quiet{fill:#9198a1}.line{stroke:#f0f6fc}.rule{stroke:#3d444d}
.c0{fill:#3b95f0}.c1{fill:#7d8590}.c2{fill:#d9a441}.c3{fill:#7cbcf7}.c4{fill:#b5d8fa}}
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a bar; `colour` is 0 to 4, `name` stands in the legend where a bar has several pieces."""

    value: float
    colour: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A bar: its pieces lie end to end. `spread` draws the least and the most that was measured."""

    label: str
    parts: tuple[Part, ...]
    spread: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        """The length of the whole bar."""
        return sum(part.value for part in self.parts)


def chart(title: str, unit: str, groups: Mapping[str, Sequence[Row]]) -> str:
    """Return a chart of all rows; a group has a heading where its name is not empty."""
    rows = [row for group in groups.values() for row in group]
    most = max(max(row.value, *(row.spread or (0,))) for row in rows)
    scale = (_WIDTH - _LEFT - _RIGHT) / (most or 1)
    body, y = [], float(_TOP)
    for heading, group in groups.items():
        if heading:
            body.append(_text(16, y + 13, heading, "text"))
        for row in group:
            body += _row(row, y, scale)
            y += _ROW
        y += _GAP
    body += _legend(rows, y)
    height = round(y + (24 if body[-1].startswith("<g") else 4))
    return "\n".join([*_frame(title, unit, height), *body, "</svg>\n"])


def _frame(title: str, unit: str, height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(title)}">'
    )
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="page" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>'
    yield _text(16, 28, title, "text title")
    yield _text(16, 48, unit, "quiet")
    yield f'<line class="rule" x1="{_LEFT}" y1="{_TOP - 6}" x2="{_LEFT}" y2="{height - 12}"/>'


def _row(row: Row, y: float, scale: float) -> Iterator[str]:
    yield _text(_LEFT - 10, y + 13, row.label, "text", anchor="end")
    x = float(_LEFT)
    for part in row.parts:
        width = part.value * scale
        yield f'<rect class="c{part.colour}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'
        x += width
    if row.spread:
        low, high = (_LEFT + value * scale for value in row.spread)
        x, middle = max(x, high), y + _BAR / 2
        yield (
            f'<path class="line" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8'
            f'M{high:.1f} {middle - 4}v8"/>'
        )
    yield _text(x + 8, y + 13, _short(row.value), "text")


def _legend(rows: Sequence[Row], y: float) -> Iterator[str]:
    names = {part.name: part.colour for row in rows for part in row.parts if part.name}
    x = _LEFT
    for name, colour in names.items():
        yield (
            f'<g><rect class="c{colour}" x="{x}" y="{y}" width="12" height="12"/>'
            f"{_text(x + 18, y + 11, name, 'quiet')}</g>"
        )
        x += 40 + 8 * len(name)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.2f}"


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
