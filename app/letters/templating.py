"""Templating: a part of a mail with variables in it becomes the text that one recipient gets.

`compiled` checks the source by `app.letters.language.grammar` and compiles it; what it returns renders any
number of times. Each step of the engine costs fuel, in proportion to what the step makes, so that neither
time nor memory depends on what a template asks for. The functions here do not wait, and no two threads may
render the same part at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from minijinja import Environment, TemplateError

from app.errors import FieldError, InvalidRequest
from app.letters.language.filters import MAX_CALLS, OwnFilters
from app.letters.language.grammar import GrammarError, read_paths
from app.letters.language.missing import find_missing
from app.letters.values import Variables, unpack
from app.mail.characters import forbidden

FUEL = 100_000
"""Steps of one rendering; a step that makes text costs one more for each 64 bytes, so about 6 MB come out."""
MAX_SUBJECT = 998
"""Characters of a rendered subject (RFC 5322 §2.1.1)."""
_DANGEROUS = (
    "attr", "batch", "chain", "format", "groupby", "indent", "lines", "list", "map", "max", "min", "pprint",
    "reject", "rejectattr", "select", "selectattr", "slice", "split", "string", "sum", "tojson", "unique", "zip",
)  # fmt: skip
"""Filters that the grammar refuses, taken from the engine too: some are not charged for what they make."""
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "OutOfFuel": "takes too many steps, or makes too much text: loop over less",
        "UndefinedError": "looks at something that is not there",
    }
)


class Part(StrEnum):
    """The parts of a mail that may hold variables."""

    SUBJECT = "subject"
    """One line; nothing is escaped."""
    HTML = "html"
    """Values are escaped, so that none adds an element or an attribute."""
    TEXT = "text"
    """Nothing is escaped."""
    AMP = "amp"
    """Escaped as HTML is."""


_ENDINGS: Mapping[Part, str] = MappingProxyType(
    {Part.SUBJECT: ".txt", Part.HTML: ".html", Part.TEXT: ".txt", Part.AMP: ".html"}
)
"""The engine escapes by the ending of a template's name."""


class Pattern:
    """One part, compiled."""

    def __init__(self, part: Part, source: str) -> None:
        """Compile `source`. Raises InvalidRequest with the line."""
        self.part = part
        self.source = source
        self._name = "source" + _ENDINGS[part]
        try:
            self._paths = read_paths(source)
            self._filters = OwnFilters()
            self._engine = _engine(self._name, source, self._filters)
        except GrammarError as error:
            raise _flaw(part, error.line, error.reason) from error
        except TemplateError as error:
            raise _flaw(part, error.line, error.detail or error.message) from error

    @property
    def needs(self) -> tuple[str, ...]:
        """The variables that it names without a default, by their dotted names, each once."""
        needed = (path for path in self._paths if path.needed and not path.is_bound)
        return tuple(dict.fromkeys(map(str, needed)))

    @property
    def looped(self) -> frozenset[tuple[str, ...]]:
        """The variables that it loops over, by their names."""
        return frozenset(path.names for path in self._paths if path.is_looped)

    def render(self, values: Mapping[str, object]) -> str:
        """Return the part with `values`, as `unpack` returns them, in it.

        Raises InvalidRequest that names each variable that is needed and missing, or what else is wrong.
        """
        try:
            text = self._rendered(values)
        except (TemplateError, ValueError, TypeError) as error:
            missing = find_missing(self._attempt, self.source, self._paths, values)
            raise InvalidRequest(missing or (_failure(self.part, error),)) from error
        if trouble := _trouble(self.part, text):
            raise InvalidRequest((trouble,))
        return text

    def _attempt(self, values: Mapping[str, object]) -> Exception | None:
        try:
            self._rendered(values)
        except (TemplateError, ValueError, TypeError) as error:
            return error
        return None

    def _rendered(self, values: Mapping[str, object]) -> str:
        self._filters.left = MAX_CALLS
        return self._engine.render_template(self._name, **values)


class Patterns:
    """The parts that were compiled last, so that mail after mail costs a look-up; bounded by their sizes."""

    def __init__(self, most_bytes: int = 16 * 1024 * 1024) -> None:
        """Keep as much as about `most_bytes` of memory."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[Part, str], Pattern] = OrderedDict()

    def compiled(self, part: Part, source: str) -> Pattern:
        """Return the part, compiled. Raises InvalidRequest with the line of what is wrong."""
        pattern = self._kept.get((part, source))
        if pattern is None:
            pattern = Pattern(part, source)
            self._keep(pattern)
        self._kept.move_to_end((part, source))
        return pattern

    def _keep(self, pattern: Pattern) -> None:
        self._kept[pattern.part, pattern.source] = pattern
        self._bytes += _cost(pattern.source)
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            (_, source), _ = self._kept.popitem(last=False)
            self._bytes -= _cost(source)

    def fill(self, sources: Mapping[Part, str], variables: Variables) -> dict[Part, str]:
        """Return each part with the values of `variables` in it.

        Raises InvalidRequest that names what is wrong in all parts together.
        """
        return self.render(sources, unpack(variables))

    def render(self, sources: Mapping[Part, str], values: Mapping[str, object]) -> dict[Part, str]:
        """Return each part with `values`, as `unpack` returns them, in it. Raises what `fill` does."""
        made, refused = dict[Part, str](), dict[FieldError, None]()
        for part, source in sources.items():
            try:
                made[part] = self.compiled(part, source).render(values)
            except InvalidRequest as error:
                refused |= dict.fromkeys(error.fields)
        if refused:
            raise InvalidRequest(tuple(refused))
        return made


def _engine(name: str, source: str, filters: OwnFilters) -> Environment:
    engine = Environment(
        fuel=FUEL,
        debug=False,
        undefined_behavior="strict",
        keep_trailing_newline=True,
        finalizer=_written,
        pycompat=False,  # its methods are not charged for what they make
    )
    for word in engine.globals:
        engine.remove_global(word)
    for word in _DANGEROUS:
        engine.remove_filter(word)
    for word, function in filters.by_name.items():
        engine.add_filter(word, function)
    engine.add_template(name, source)
    return engine


def _written(value: object) -> object:
    """Return how a value stands in a mail: null is nothing. Raises ValueError for what is no text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return NotImplemented  # as the engine writes it, escaped where that is due
    raise ValueError(
        "an object or a list cannot be written: name a field of it, or use the filter join"
    )


def _flaw(part: Part, line: int | None, reason: str) -> InvalidRequest:
    return InvalidRequest(
        (FieldError(f"/{part}", "invalid_template", f"line {line or 1}: {reason}"),)
    )


def _failure(part: Part, error: Exception) -> FieldError:
    if not isinstance(error, TemplateError):
        return FieldError(f"/{part}", "template_failed", str(error)[:300])
    reason = _REASONS.get(error.kind, error.detail or error.message)
    return FieldError(f"/{part}", "template_failed", f"line {error.line or 1}: {reason[:300]}")


def _trouble(part: Part, text: str) -> FieldError | None:
    """Say why a rendered part cannot be sent: values may hold what no header field may (CWE-93)."""
    if part is not Part.SUBJECT:
        if "\0" in text:
            return _unfit(part, "control_character", "holds the control character U+0000")
        return None
    if found := forbidden(text):
        return _unfit(part, "control_character", f"holds {found}")
    if len(text) > MAX_SUBJECT:
        return _unfit(part, "too_long", f"has more than {MAX_SUBJECT} characters")
    return None


def _unfit(part: Part, code: str, reason: str) -> FieldError:
    return FieldError(f"/{part}", code, f"with these variables it {reason}: change them")


def _cost(source: str) -> int:
    return 16 * 1024 + 4 * len(source)
