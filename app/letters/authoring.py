"""Authoring: what is done with a template once, when it is saved, so that sending only has to fill it.

Every part is compiled, so that no template is kept that cannot be filled; MJML becomes HTML, and style sheets
go into the elements that they are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from app.errors import FieldError, InvalidRequest, steps_of
from app.ids import ProjectId
from app.letters.language.missing import with_blank
from app.letters.templating import Part, Pattern, Patterns
from app.letters.values import Rows, Variables, unpack
from app.mail.mime.content import check_amp
from app.mail.refusal import Refusal
from app.projects.templates import Version, Wording
from app.workshop.orders import WorkshopRefusal
from app.workshop.workshop import Workshop

_ROUNDS = 3
"""How often a preview puts in blanks; each time up to fifty for each part."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The parts of a mail as they would be sent, and the variables that stand in them as blanks."""

    parts: Mapping[Part, str]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Html:
    text: str | None
    warnings: tuple[str, ...] = ()


def sources(version: Version) -> dict[Part, str]:
    """Return the parts that are filled when a version is sent."""
    written = version.wording
    texts = {Part.HTML: version.html, Part.TEXT: written.text, Part.AMP: written.amp}
    parts = {part: text for part, text in texts.items() if text is not None}
    return {Part.SUBJECT: written.subject, **parts}


@dataclass(frozen=True, slots=True)
class Author:
    """Makes versions of what was written. Built once, at the start."""

    workshop: Workshop
    patterns: Patterns

    async def version(self, wording: Wording, project: ProjectId, now: datetime) -> Version:
        """Return what is kept of a template.

        Raises InvalidRequest that names each part that is wrong, with its line, or WorkshopBusy.
        """
        _raise(_refused(wording))
        written = Version(wording, wording.html or wording.mjml, (), (), now)
        _raise(_as_written(error, wording) for error in self._flaws(written))
        html = await self._html(wording, project)
        made = replace(written, html=html.text, warnings=html.warnings)
        _raise(_as_written(error, wording) for error in self._flaws(made))
        return replace(made, variables=self._needs(made))

    def preview(self, version: Version, variables: Variables) -> Preview:
        """Return the parts with `variables`, and where one is missing `[name]`, or no rows if a loop goes over it.

        Raises InvalidRequest for anything else that keeps them from being filled.
        """
        values, missing = unpack(variables), dict[tuple[str, ...], None]()
        looped = {names for pattern in self._patterns(version) for names in pattern.looped}
        for _ in range(_ROUNDS):
            try:
                return Preview(self.patterns.render(sources(version), values), _dotted(missing))
            except InvalidRequest as error:
                lacking = [_names(field) for field in error.fields]
                if not all(lacking):
                    raise
            for names in lacking:
                missing[names] = None
                blank = Rows() if names in looped else f"[{'.'.join(names)}]"
                values = with_blank(values, names, blank)
        return Preview(self.patterns.render(sources(version), values), _dotted(missing))

    def _flaws(self, version: Version) -> Iterator[FieldError]:
        for part, source in sources(version).items():
            try:
                self.patterns.compiled(part, source)
            except InvalidRequest as error:
                yield from error.fields

    def _needs(self, version: Version) -> tuple[str, ...]:
        named = (name for pattern in self._patterns(version) for name in pattern.needs)
        return tuple(dict.fromkeys(named))

    def _patterns(self, version: Version) -> Iterator[Pattern]:
        return (self.patterns.compiled(*pair) for pair in sources(version).items())

    async def _html(self, wording: Wording, project: ProjectId) -> _Html:
        html, warnings = wording.html, list[str]()
        try:
            if wording.mjml is not None:
                piece = await self.workshop.html_of_mjml(wording.mjml, project)
                html, warnings = piece.text, [*piece.warnings]
            if html is not None and wording.inline_css:
                piece = await self.workshop.with_inlined_css(html, project)
                html, warnings = piece.text, [*warnings, *piece.warnings]
        except WorkshopRefusal as error:
            raise InvalidRequest(
                (_as_written(FieldError("/html", "invalid_html", error.reason), wording),)
            ) from error
        return _Html(html, tuple(warnings))


def _raise(refused: Iterable[FieldError]) -> None:
    if fields := tuple(refused):
        raise InvalidRequest(fields)


def _refused(wording: Wording) -> Iterator[FieldError]:
    if wording.html is not None and wording.mjml is not None:
        yield FieldError("/mjml", "excluded", "mjml becomes html: give one of them")
    if wording.html is None and wording.mjml is None:
        if wording.text is None:
            yield FieldError(
                "/text", "required", "give text, html or mjml, or text and one of these"
            )
        if wording.amp is not None:
            detail = "amp is shown by few readers: give the others html"
            yield FieldError("/html", "required", detail)
    if wording.amp is not None:
        try:
            check_amp(wording.amp)
        except Refusal as error:
            yield FieldError("/amp", "invalid_amp", error.reason)


def _as_written(error: FieldError, wording: Wording) -> FieldError:
    """Return an error of the HTML as one of the MJML that it was made from."""
    is_made = error.pointer == "/html" and wording.mjml is not None
    return replace(error, pointer="/mjml") if is_made else error


def _names(error: FieldError) -> tuple[str, ...]:
    """Return the names of a missing variable; none where the error is about something else."""
    place = steps_of(error.pointer)
    return place[1:] if error.code == "missing_variable" and place[:1] == ("variables",) else ()


def _dotted(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(map(".".join, names))
