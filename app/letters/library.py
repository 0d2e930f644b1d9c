"""The library: the templates that mails are made from, as each process remembers them for a moment.

A version never changes, so it is kept as long as there is room. Which one is current may change, and is
asked again after some seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic

from app.errors import FieldError, InvalidRequest, NotFound
from app.ids import ProjectId
from app.letters.authoring import sources
from app.letters.drafts import Draft, TemplateRef
from app.letters.templating import Part
from app.letters.values import NO_VARIABLES
from app.projects.templates import Head, Templates

_MOST_HEADS = 10_000
_MOST_CHARACTERS = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Seen:
    head: Head
    until: float


class Library:
    """Gives drafts what their templates say. Built once, at the start."""

    def __init__(
        self,
        templates: Templates,
        cache: timedelta,
        clock: Callable[[], float] = monotonic,
        most_characters: int = _MOST_CHARACTERS,
    ) -> None:
        """Remember for as long as `cache` says which version of a template is current, and what the versions
        say that were used last."""
        self.source = templates
        self._cache_s = cache.total_seconds()
        self._clock = clock
        self._most_characters = most_characters
        self._heads: OrderedDict[tuple[ProjectId, str], _Seen] = OrderedDict()
        self._versions: OrderedDict[tuple[object, ...], dict[Part, str]] = OrderedDict()
        self.characters = 0

    async def applied(self, draft: Draft, project: ProjectId) -> Draft:
        """Return the draft with what its template says, to be filled with its variables.

        A subject of its own stands over that of the template. Raises InvalidRequest where there is no such
        template, or SpoolError.
        """
        if draft.template is None:
            return draft
        parts = await self._parts(draft.template, project)
        return replace(
            draft,
            template=None,
            subject=draft.subject or parts[Part.SUBJECT],
            html=parts.get(Part.HTML),
            text=parts.get(Part.TEXT),
            amp=parts.get(Part.AMP),
            variables=draft.variables or NO_VARIABLES,
        )

    async def _parts(self, wanted: TemplateRef, project: ProjectId) -> dict[Part, str]:
        try:
            head = await self._head(project, wanted.name)
            number = wanted.version or head.current
            # A template that was removed and made again has the same numbers.
            key = (project, wanted.name, head.created_at, number)
            if key not in self._versions:
                version = await self.source.version(project, wanted.name, number)
                self._keep(key, sources(version))
        except NotFound as error:
            raise InvalidRequest(
                (FieldError("/template", "template_not_found", error.detail),)
            ) from error
        self._versions.move_to_end(key)
        return self._versions[key]

    async def _head(self, project: ProjectId, name: str) -> Head:
        seen = self._heads.get((project, name))
        if seen is None or seen.until < self._clock():
            seen = _Seen(await self.source.head(project, name), self._clock() + self._cache_s)
            self._heads[project, name] = seen
            self._heads.move_to_end((project, name))
            if len(self._heads) > _MOST_HEADS:
                self._heads.popitem(last=False)
        return seen.head

    def _keep(self, key: tuple[object, ...], parts: dict[Part, str]) -> None:
        if key in self._versions:
            return  # others asked at the same time
        self._versions[key] = parts
        self.characters += _size(parts)
        while self.characters > self._most_characters and len(self._versions) > 1:
            _, oldest = self._versions.popitem(last=False)
            self.characters -= _size(oldest)


def _size(parts: dict[Part, str]) -> int:
    return 1000 + sum(map(len, parts.values()))
