"""Missing variables: a rendering that failed is tried again with blanks, until all that it lacks are known.

The engine stops at the first value that is not there. Only trying tells which others are needed too, since
what stands in a branch that is not taken is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from minijinja import TemplateError

from app.errors import FieldError, pointer_step
from app.letters.language.grammar import Path
from app.letters.values import Fields

_MOST = 50
_TRIES = 8
"""Renderings, each of which may take milliseconds; after them all that is absent counts as needed."""

Attempt = Callable[[Mapping[str, object]], Exception | None]
"""Renders with these values and returns why it could not."""


def find_missing(
    attempt: Attempt, source: str, paths: Sequence[Path], values: Mapping[str, object]
) -> tuple[FieldError, ...]:
    """Return the variables that `source` names (in `paths`) and `values` lack; none if it fails otherwise."""
    found: dict[str, Path] = {}
    error = attempt(values)
    for number in range(_TRIES):
        lacking = list(_lacking(error, source, paths, values)) if error else []
        found |= {str(path): path for path in lacking}
        if not lacking or lacking[0].is_bound:  # in rows that there may be many of
            break
        if number == _TRIES - 1:
            found |= {str(path): path for path in _absent(paths, values)}
        for path in lacking:
            values = with_blank(values, path.needed, "")
        before, error = error, attempt(values)
        if not isinstance(before, TemplateError) and str(before) == str(error):
            return ()  # a filter of ours that did not fail for these
    return tuple(map(_missing, list(found.values())[:_MOST]))


def _lacking(
    error: Exception, source: str, paths: Sequence[Path], values: Mapping[str, object]
) -> Iterator[Path]:
    """Yield the paths that have no value, in the tag where the rendering failed if that is known."""
    if not isinstance(error, TemplateError):
        # A filter of ours, which cannot tell where it stands, may have got nothing.
        yield from _absent(paths, values)
    elif error.kind == "UndefinedError" or "undefined" in str(error):
        tag = _tag(error, source, paths)
        suspects = [path for path in paths if path.tag == tag]
        absent = list(_absent(suspects, values))
        yield from absent or [path for path in suspects if path.is_bound and path.needed[1:]][:1]


def _absent(paths: Iterable[Path], values: Mapping[str, object]) -> Iterator[Path]:
    for path in paths:
        if path.needed and not path.is_bound and _is_absent(path.needed, values):
            yield path


def _tag(error: TemplateError, source: str, paths: Sequence[Path]) -> int | None:
    """Return where the tag begins that the engine complains of; it counts bytes, and we characters."""
    if error.range is None:
        return None
    place = len(source.encode()[: error.range[0]].decode(errors="ignore"))
    return max((path.tag for path in paths if path.tag <= place), default=None)


def _is_absent(names: Sequence[str], values: object) -> bool:
    for name in names:
        if not isinstance(values, Mapping) or name not in values:
            return True
        values = values[name]
    return False


def with_blank(values: object, names: Sequence[str], blank: object) -> Fields:
    """Return the values with `blank` in the place of those names."""
    known = {**values} if isinstance(values, dict) else {}
    name, *rest = names
    known[name] = with_blank(known.get(name), rest, blank) if rest else blank
    return Fields(known)


def _missing(path: Path) -> FieldError:
    if path.is_bound:
        detail = f"the template needs {path} in each row, and some lack it"
        return FieldError("/variables", "missing_variable", detail)
    place = "/".join(map(pointer_step, path.needed))
    detail = f"the template needs a value for {path}"
    return FieldError(f"/variables/{place}", "missing_variable", detail)
