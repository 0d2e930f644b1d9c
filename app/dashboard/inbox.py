"""The pages of the catch-all mailbox: what arrived, and each mail with its parts.

Mails are hostile until shown otherwise: ids are checked before they become paths, every text is
escaped, and what a mail brings along is served sandboxed, so that no script of it ever runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from app.catchall.calendars import read_calendar
from app.catchall.folder import Arrival, MailFolder
from app.catchall.reading import Letter, Part, read_headers, read_letter
from app.catchall.specials import MEANINGS
from app.dashboard.pages import PAGE_HEADERS, STATIC, page
from app.dashboard.reference import reference

_SHOWN = 200
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_TITLES = {
    "html": "HTML",
    "text": "Text",
    "calendar": "Invitation",
    "amp": "AMP",
    "headers": "Headers",
}
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# A mail's HTML may style itself and show its own pictures. It may not run, load, frame or submit
# anything; its links open a tab of their own, since people click them to try out what they send.
_MAIL_SANDBOX = "sandbox allow-popups allow-popups-to-escape-sandbox"
_MAIL_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; {_MAIL_SANDBOX}"
)
_CID = re.compile(r"cid:([^\s\"'<>()]{1,250})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the list."""

    arrival: Arrival
    letter: Letter


def mailbox_router(directory: Path) -> APIRouter:
    """Return the pages of development: the mails in `directory`, and the API explained."""
    pages = _Pages(MailFolder(directory), directory / "example.txt")
    router = APIRouter(include_in_schema=False, dependencies=[Depends(_require_local_name)])
    routes: dict[str, Callable[..., Response]] = {
        "/": pages.start,
        "/docs": reference,
        "/mailbox": pages.index,
        "/mailbox/list": pages.fragment,
        "/mailbox/static/{name}": pages.static,
        "/mailbox/{identity}": pages.letter,
        "/mailbox/{identity}/html": pages.html,
        "/mailbox/{identity}/raw": pages.raw,
        "/mailbox/{identity}/parts/{number}": pages.part,
    }
    for path, endpoint in routes.items():
        router.add_api_route(path, endpoint, methods=["GET"], response_class=HTMLResponse)
    return router


class _Pages:
    """The pages over one folder. They read files, so FastAPI runs them in its threads."""

    def __init__(self, folder: MailFolder, example: Path) -> None:
        self._folder = folder
        self._example = example
        # Files of mails never change, so what was read once stays true.
        self._row = lru_cache(_SHOWN * 2)(self._read_row)

    def start(self) -> Response:
        """Lead from the bare address to the mailbox."""
        return RedirectResponse("/mailbox", status_code=302)

    def index(self) -> Response:
        """Show what arrived, the newest first, or how to send a first mail."""
        return page("mailbox.html", self._contents())

    def fragment(self, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """Return the list alone, for the script that keeps it fresh; 304 while nothing changed."""
        tag = f'"{self._folder.state()}"'
        if if_none_match == tag:
            return Response(status_code=304, headers={"ETag": tag})
        response = page("list.html", self._contents())
        response.headers.update({"ETag": tag, "Cache-Control": "no-cache"})
        return response

    def static(self, name: str) -> Response:
        """Return the style sheet or the script."""
        path = STATIC / name
        if path not in STATIC.iterdir():
            raise HTTPException(404)
        return FileResponse(path, headers={**PAGE_HEADERS, "Cache-Control": "no-cache"})

    def letter(self, identity: str) -> Response:
        """Show one mail."""
        arrival = self._folder.find(identity)
        if arrival is None:
            return page("missing.html", {}, 404)
        return page("letter.html", _shown(arrival, self._letter(arrival)))

    def html(self, identity: str) -> Response:
        """Return the HTML of a mail, for its sandboxed frame."""
        arrival = self._find(identity)
        letter = self._letter(arrival)
        if letter.html is None:
            raise HTTPException(404)
        # Without a doctype in front, the base element would put every mail into quirks mode.
        body = f'<!doctype html><base target="_blank">{_with_pictures(arrival, letter)}'
        return HTMLResponse(body, headers=_mail_headers(_MAIL_POLICY))

    def raw(self, identity: str) -> Response:
        """Return the source of a mail as it came, as text and never as anything else."""
        return Response(
            self._folder.content(self._find(identity)),
            media_type="text/plain; charset=utf-8",
            headers=_mail_headers("default-src 'none'; sandbox"),
        )

    def part(self, identity: str, number: int) -> Response:
        """Return an attachment as a download, or a picture to be shown."""
        parts = self._letter(self._find(identity)).parts
        if not 0 <= number < len(parts):
            raise HTTPException(404)
        return _part_response(parts[number])

    def _contents(self) -> dict[str, object]:
        rows = tuple(self._row(arrival) for arrival in self._folder.newest(_SHOWN))
        return {
            "rows": rows,
            "state": self._folder.state(),
            "example": self._first_command() if not rows else "",
            "specials": MEANINGS,
            "limit": _SHOWN,
        }

    def _first_command(self) -> str:
        try:
            return self._example.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def _find(self, identity: str) -> Arrival:
        arrival = self._folder.find(identity)
        if arrival is None:
            raise HTTPException(404, "There is no such mail in the mailbox.")
        return arrival

    def _letter(self, arrival: Arrival) -> Letter:
        return read_letter(self._folder.content(arrival))

    def _read_row(self, arrival: Arrival) -> _Row:
        return _Row(arrival, read_headers(self._folder.content(arrival)))


def _require_local_name(request: Request) -> None:
    """Refuse requests to other names: a page elsewhere could point its own name here and read mail."""
    name = request.headers.get("host", "").lower()
    if re.sub(r":\d+\Z", "", name) not in _LOCAL_NAMES:
        raise HTTPException(403, "The mailbox answers to localhost and 127.0.0.1 only.")


def _shown(arrival: Arrival, letter: Letter) -> dict[str, object]:
    bodies = {
        "html": letter.html,
        "text": letter.text,
        "calendar": letter.calendar,
        "amp": letter.amp,
    }
    views = [name for name, body in bodies.items() if body is not None]
    return {
        "arrival": arrival,
        "letter": letter,
        "views": [*views, "headers"],
        "titles": _TITLES,
        "event": read_calendar(letter.calendar or ""),
        "pictures": _PICTURES,
        "inside": _named(letter),
    }


def _named(letter: Letter) -> set[str]:
    """Return the content ids that the HTML names (RFC 2392)."""
    return {_content_id(found) for found in _CID.findall(letter.html or "")}


def _content_id(url: str) -> str:
    return unquote(unescape(url))


def _with_pictures(arrival: Arrival, letter: Letter) -> str:
    """Return the HTML with `cid:` references (RFC 2392) leading to the parts of this mail."""
    numbers = {part.content_id: number for number, part in enumerate(letter.parts)}

    def place(found: re.Match[str]) -> str:
        number = numbers.get(_content_id(found[1]))
        return found[0] if number is None else f"/mailbox/{arrival.id}/parts/{number}"

    return _CID.sub(place, letter.html or "")


def _mail_headers(policy: str) -> dict[str, str]:
    return {**PAGE_HEADERS, "Content-Security-Policy": f"{policy}; frame-ancestors 'self'"}


def _part_response(part: Part) -> Response:
    shown = part.content_type in _PICTURES
    disposition = "inline" if shown else "attachment"
    headers = _mail_headers("default-src 'none'; sandbox")
    headers["Content-Disposition"] = (
        f"{disposition}; filename*=UTF-8''{quote(part.filename, safe='')}"
    )
    media_type = part.content_type if shown else "application/octet-stream"
    return Response(part.content, media_type=media_type, headers=headers)
