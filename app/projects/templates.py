"""Templates: what a project's mails say, kept by name and in versions that never change.

`templates:<project>` holds a head for each name, and `template:<project>:<name>` its versions by number. A
template that is made again under the name of one that was removed begins at 1 again: what tells them apart
is when they were created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from app.errors import FieldError, InvalidRequest, NotFound
from app.ids import ProjectId
from app.settings import TemplateSettings
from app.spool.client import Redis, Reply, Script
from app.spool.codec import Codec
from app.spool.keyspace import Keyspace
from app.spool.replies import as_bytes, as_int, as_list, as_text

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""What a template may be called."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What the author of a template wrote."""

    subject: str = ""
    html: str | None = None
    text: str | None = None
    amp: str | None = None
    mjml: str | None = None
    """Instead of `html`."""
    inline_css: bool = False
    """Write style sheets into the elements that they are for."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a template: what was written, and what was made of it once."""

    wording: Wording
    html: str | None
    """The HTML that is filled and sent."""
    variables: tuple[str, ...]
    """What it cannot do without, by dotted names."""
    warnings: tuple[str, ...]
    """What MJML or CSS had no use for."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a template without its versions."""

    name: str
    created_at: datetime
    updated_at: datetime
    current: int
    last: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some heads, in the order of their names, and whether there are more behind them."""

    heads: tuple[Head, ...]
    is_last: bool


_CODEC = Codec(Version)


class _Place(StrEnum):
    """Where a version goes."""

    NEW = "new"
    """The first one of a template."""
    CURRENT = "current"
    """One more, which is sent from now on."""
    BESIDE = "beside"
    """One more, which waits."""


class Templates:
    """The templates of all projects. All methods raise SpoolError when Redis cannot answer."""

    def __init__(
        self,
        redis: Redis,
        settings: TemplateSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._settings = settings
        self._clock = clock
        self._refusals = _refusals(settings)

    async def create(self, project: ProjectId, name: str, version: Version) -> Head:
        """Keep a new template with its first version.

        Raises InvalidRequest where the name is taken, or the project has as many templates as it may.
        """
        await self._keep(project, name, version, _Place.NEW)
        return await self.head(project, name)

    async def add(
        self, project: ProjectId, name: str, version: Version, *, is_current: bool
    ) -> int:
        """Keep one more version and return its number. Raises NotFound, or InvalidRequest for one too many."""
        place = _Place.CURRENT if is_current else _Place.BESIDE
        return await self._keep(project, name, version, place)

    async def head(self, project: ProjectId, name: str) -> Head:
        """Return what is known of a template. Raises NotFound, for foreign ones too."""
        stored = await self._redis.call("HGET", self._redis.keys.templates + project, name)
        if stored is None:
            raise _no_template(name)
        return _head(name, as_text(stored))

    async def numbers(self, project: ProjectId, name: str) -> tuple[int, ...]:
        """Return the numbers of the versions that there are, oldest first; none where there is no template."""
        found = await self._redis.call("HKEYS", _versions(self._redis.keys, project, name))
        return tuple(sorted(map(as_int, as_list(found))))

    async def version(self, project: ProjectId, name: str, number: int) -> Version:
        """Return one version. Raises NotFound, for foreign ones too."""
        key = _versions(self._redis.keys, project, name)
        stored = await self._redis.call("HGET", key, number)
        if stored is None:
            raise _no_version(name, number)
        return _CODEC.decode(as_bytes(stored))

    async def page(self, project: ProjectId, after: str, most: int) -> Page:
        """Return the heads of up to `most` templates whose names come after `after`."""
        stored = as_list(await self._redis.call("HGETALL", self._redis.keys.templates + project))
        known = dict(zip(map(as_text, stored[::2]), map(as_text, stored[1::2]), strict=True))
        names = sorted(name for name in known if name > after)
        heads = tuple(_head(name, known[name]) for name in names[:most])
        return Page(heads, is_last=len(names) <= most)

    async def choose(self, project: ProjectId, name: str, number: int) -> None:
        """Make a version the one that is sent. Raises NotFound."""
        script = self._script("choose_template")
        if as_int(await self._redis.run(script, project, name, number, self._now_ms())) == 0:
            raise _no_version(name, number)

    async def remove(self, project: ProjectId, name: str, number: int | None = None) -> None:
        """Remove a version, or the whole template. Raises NotFound, or InvalidRequest for the current version."""
        script = self._script("remove_template")
        done = as_text(await self._redis.run(script, project, name, number or "all"))
        if done == "missing":
            raise _no_template(name) if number is None else _no_version(name, number)
        if done == "current":
            detail = "this version is the current one: make another one current first"
            raise InvalidRequest((FieldError("", "current_version", detail),))

    async def _keep(self, project: ProjectId, name: str, version: Version, place: _Place) -> int:
        kept = await self._redis.keep(
            self._script("keep_template"),
            project,
            name,
            place,
            self._now_ms(),
            _CODEC.encode(version),
            self._settings.max_templates,
            self._settings.max_versions,
        )
        return self._number(name, kept)

    def _number(self, name: str, kept: Reply) -> int:
        answer = as_text(kept)
        if answer.isdecimal():
            return int(answer)
        if answer == "missing":
            raise _no_template(name)
        raise InvalidRequest((self._refusals[answer],))

    def _script(self, name: str) -> Script:
        return Script.of_file("app.projects", name, self._redis.keys)

    def _now_ms(self) -> int:
        return round(self._clock().timestamp() * 1000)


def _refusals(settings: TemplateSettings) -> Mapping[str, FieldError]:
    """Return why a version was not kept, by the words of the atomic step."""
    taken = "another template has this name: choose another, or add a version to that one"
    templates = f"a project may have {settings.max_templates} templates"
    versions = f"a template may have {settings.max_versions} versions"
    delete = "delete one that is no longer needed"
    return {
        "taken": FieldError("/name", "name_taken", taken),
        "too_many_templates": FieldError("", "too_many_templates", f"{templates}: {delete}"),
        "too_many_versions": FieldError("", "too_many_versions", f"{versions}: {delete}"),
    }


def _head(name: str, stored: str) -> Head:
    created, updated, current, last = map(int, stored.split())
    return Head(name, _moment(created), _moment(updated), current, last)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _versions(keys: Keyspace, project: ProjectId, name: str) -> str:
    return f"{keys.template}{project}:{name}"


def _no_template(name: str) -> NotFound:
    return NotFound(f"there is no template {name} in this project")


def _no_version(name: str, number: int) -> NotFound:
    return NotFound(f"there is no version {number} of a template {name} in this project")
