"""The grammar of templates: which part of the template language callers may write.

The engine knows more than mail needs: calls, macros, inclusion, repetition. Each of those is a way to use
up memory or time, so a template is read here first, tag by tag, and what is not listed here is refused with
its line. What is left has no calls but filters and tests, and no tag or nesting deep enough to exhaust the
stack of the engine's parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

MAX_SOURCE = 256 * 1024
"""Characters of one part of a template."""
MAX_TOKENS = 200
"""Words and signs in one tag."""
MAX_ALL_TOKENS = 10_000
"""Words and signs in all tags of one part; nothing else runs while they are read."""
MAX_DEPTH = 50
"""Blocks within blocks; each `elif` counts as one more."""

FILTERS = frozenset(
    (
        "abs", "capitalize", "count", "d", "date", "default", "dictsort", "e", "escape", "first", "float",
        "int", "items", "join", "last", "length", "lower", "plus", "replace", "reverse", "round", "safe",
        "sort", "times", "title", "trim", "truncate", "upper", "urlencode",
    )
)  # fmt: skip
"""What may follow `|`."""
TESTS = frozenset(
    (
        "boolean", "defined", "divisibleby", "endingwith", "even", "false", "float", "integer", "iterable",
        "mapping", "none", "number", "odd", "sequence", "startingwith", "string", "true", "undefined",
    )
)  # fmt: skip
"""What may follow `is` and `is not`."""

_BLOCKS = frozenset(("if", "elif", "else", "endif", "for", "endfor", "set", "raw", "endraw"))
_OPERATORS = frozenset(("and", "or", "not", "in", "is", "if", "else", "elif", "for", "set"))
_CONSTANTS = frozenset(("true", "false", "none", "True", "False", "None"))
_WORDS = _OPERATORS | _CONSTANTS
_GUARDS = frozenset(("default", "d"))

_OPEN = re.compile(r"\{\{[-+]?|\{%[-+]?|\{#")
_CLOSE = {"{{": re.compile(r"[-+]?\}\}"), "{%": re.compile(r"[-+]?%\}")}
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|//|[-/%~<>()\[\].,:|=])""",
    re.VERBOSE | re.DOTALL,
)


class GrammarError(ValueError):
    """A template holds what mail does not need; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        """Keep the place, and one sentence that says what to write instead."""
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Path:
    """A variable as a template names it: `order.total` is `("order", "total")`."""

    names: tuple[str, ...]
    tag: int
    """Where the tag begins that it stands in."""
    is_bound: bool = False
    """The template itself gives it its value."""
    is_guarded: bool = False
    """Its last name may be missing: a default or a test of whether it is defined follows."""
    is_looped: bool = False
    """It has rows: a loop goes over it."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The names that have to be there; none where all may be missing."""
        return self.names[:-1] if self.is_guarded else self.names

    def __str__(self) -> str:
        return ".".join(self.needed)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    def is_name(self) -> bool:
        """Tell whether it names something, instead of being a word of the language."""
        return self.kind == "name" and self.text not in _WORDS

    def is_value(self) -> bool:
        """Tell whether a value may end here, so that `(` would call it and `[` look into it."""
        return self.is_name() or self.kind in ("text", "number") or self.text in (")", "]")


@dataclass(slots=True)
class _Reading:
    """What is known of a template while it is read."""

    source: str
    tag: int = 0
    tokens: int = 0
    paths: list[Path] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    scopes: list[set[str]] = field(default_factory=lambda: [set()])

    def refuse(self, place: int, reason: str) -> GrammarError:
        return GrammarError(self.source.count("\n", 0, place) + 1, reason)


def read_paths(source: str) -> tuple[Path, ...]:
    """Return the variables that a template names, in order. Raises GrammarError for what is not allowed."""
    if len(source) > MAX_SOURCE:
        raise GrammarError(1, f"has {len(source)} characters; {MAX_SOURCE} are allowed")
    reading = _Reading(source)
    place = 0
    while opened := _OPEN.search(source, place):
        place = _tag(reading, opened)
    return tuple(reading.paths)


def _tag(reading: _Reading, opened: re.Match[str]) -> int:
    """Read one tag and return the place after it."""
    if opened[0] == "{#":
        end = reading.source.find("#}", opened.end())
        if end < 0:
            raise reading.refuse(opened.start(), "a comment is not closed: end it with #}")
        return end + 2
    kind, reading.tag = opened[0][:2], opened.start()
    tokens = list(_tokens(reading, opened.end(), kind))
    _count(reading, len(tokens), opened.start())
    end = tokens.pop().end
    if kind == "{{":
        _expression(reading, tokens)
    elif _word(tokens) == "raw":
        return _after_raw(reading, end)
    else:
        _statement(reading, tokens, opened.start())
    return end


def _count(reading: _Reading, tokens: int, place: int) -> None:
    reading.tokens += tokens
    if reading.tokens > MAX_ALL_TOKENS:
        raise reading.refuse(place, f"there are more than {MAX_ALL_TOKENS} words and signs in tags")


def _after_raw(reading: _Reading, place: int) -> int:
    closed = _END_RAW.search(reading.source, place)
    if closed is None:
        raise reading.refuse(place, "raw is not closed: end it with {% endraw %}")
    return closed.end()


def _tokens(reading: _Reading, place: int, kind: str) -> Iterator[_Token]:
    """Yield the tokens of a tag, the sign that closes it last."""
    for _ in range(MAX_TOKENS):
        place = _after_space(reading, place)
        if closed := _CLOSE[kind].match(reading.source, place):
            yield _Token("close", closed[0], place, closed.end())
            return
        found = _TOKEN.match(reading.source, place)
        if found is None:
            raise _odd(reading, place)
        yield _Token(found.lastgroup or "", found[0], place, found.end())
        place = found.end()
    raise reading.refuse(place, f"a tag has more than {MAX_TOKENS} words and signs: split it")


def _after_space(reading: _Reading, place: int) -> int:
    space = _SPACE.match(reading.source, place)
    return space.end() if space else place


def _odd(reading: _Reading, place: int) -> GrammarError:
    match reading.source[place : place + 1]:
        case "":
            return reading.refuse(place, "a tag is not closed: end it with }} or %}")
        case "*":
            return reading.refuse(place, "`*` is not offered: use the filter `times`")
        case "+":
            return reading.refuse(
                place, "`+` is not offered: use the filter `plus`, or `~` for texts"
            )
        case "{" | "}":
            return reading.refuse(place, "a tag holds a brace: close the tag, or quote the brace")
        case sign:
            return reading.refuse(place, f"a tag holds {sign!a}, which means nothing there")


def _word(tokens: Sequence[_Token]) -> str:
    return tokens[0].text if tokens else ""


def _statement(reading: _Reading, tokens: list[_Token], place: int) -> None:
    word = _word(tokens)
    if word not in _BLOCKS:
        offered = "if, elif, else, for, set, raw"
        raise reading.refuse(place, f"{{% {word} %}} is not offered; there are {offered}")
    match word:
        case "if":
            _enter(reading, place)
        case "elif":
            _deepen(reading, place)
        case "endif" | "endfor":
            _leave(reading)
        case "set":
            return _set(reading, tokens, place)
        case "for":
            return _for(reading, tokens, place)
    return _expression(reading, tokens[1:])


def _enter(reading: _Reading, place: int) -> None:
    reading.depths.append(0)
    reading.scopes.append(set())
    _deepen(reading, place)


def _deepen(reading: _Reading, place: int) -> None:
    if reading.depths:
        reading.depths[-1] += 1
    if sum(reading.depths) > MAX_DEPTH:
        raise reading.refuse(place, f"blocks are nested more than {MAX_DEPTH} deep")


def _leave(reading: _Reading) -> None:
    # Ends that nothing began are left to the engine, which names them.
    if reading.depths:
        reading.depths.pop()
        reading.scopes.pop()


def _set(reading: _Reading, tokens: list[_Token], place: int) -> None:
    if len(tokens) < 3 or not tokens[1].is_name() or tokens[2].text != "=":
        raise reading.refuse(place, "set takes one name and one value: {% set name = value %}")
    _expression(reading, tokens[3:])
    reading.scopes[-1].add(tokens[1].text)


def _for(reading: _Reading, tokens: list[_Token], place: int) -> None:
    words = [token.text for token in tokens]
    if "in" not in words or words[-1] == "recursive":
        raise reading.refuse(place, "for takes names and a list: {% for name in list %}")
    middle = words.index("in")
    targets = tokens[1:middle]
    if any(token.text != "," and not token.is_name() for token in targets):
        raise reading.refuse(place, "for takes names before `in`: {% for key, value in list %}")
    _enter(reading, place)
    condition = words.index("if", middle) if "if" in words[middle:] else len(words)
    # What is looped over does not know the names of the loop yet; its condition does.
    first = len(reading.paths)
    _expression(reading, tokens[middle + 1 : condition])
    reading.paths[first:] = [replace(path, is_looped=True) for path in reading.paths[first:]]
    reading.scopes[-1] |= {token.text for token in targets} | {"loop"}
    _expression(reading, tokens[condition + 1 :])


def _expression(reading: _Reading, tokens: list[_Token]) -> None:
    _check_signs(reading, tokens)
    number = 0
    while number < len(tokens):
        number = _path(reading, tokens, number) if _is_root(tokens, number) else number + 1


def _is_root(tokens: list[_Token], number: int) -> bool:
    before = tokens[number - 1].text if number else ""
    after = tokens[number + 1].text if number + 1 < len(tokens) else ""
    if before == "not" and number > 1 and tokens[number - 2].text == "is":
        before = "is"
    return tokens[number].is_name() and before not in (".", "|", "is") and after != "="


def _path(reading: _Reading, tokens: list[_Token], number: int) -> int:
    """Keep the variable that begins at `number`, and return the number of the token after it."""
    first, names = tokens[number], [tokens[number].text]
    number += 1
    while step := _step(tokens, number):
        names.append(step)
        number += 2 if tokens[number].text == "." else 3
    reading.paths.append(
        Path(
            names=tuple(names),
            tag=reading.tag,
            is_bound=any(first.text in scope for scope in reading.scopes),
            is_guarded=_is_guarded(tokens[number : number + 3]),
        )
    )
    return number


def _step(tokens: list[_Token], number: int) -> str | None:
    """Return the name in `.name` or `["name"]` at `number`, or None where there is none."""
    match [(token.kind, token.text) for token in tokens[number : number + 3]]:
        case [("sign", "."), ("name", name), *_]:
            return name
        case [("sign", "["), ("text", quoted), ("sign", "]")] if "\\" not in quoted:
            return quoted[1:-1]
    return None


def _is_guarded(after: list[_Token]) -> bool:
    words = [token.text for token in after if token.text != "not"]
    match words[:2]:
        case ["|", name]:
            return name in _GUARDS
        case ["is", name]:
            return name in ("defined", "undefined")
    return False


def _check_signs(reading: _Reading, tokens: list[_Token]) -> None:
    """Check each sign by what stands before it and in which brackets it stands."""
    brackets: list[str] = []
    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else None
        match token.text if token.kind == "sign" else "":
            case "(":
                brackets.append(_parenthesis(reading, tokens, number))
            case "[":
                brackets.append("look" if before and before.is_value() else "list")
            case ")" | "]" if brackets:
                brackets.pop()
            case "," | "=":
                _check_between(reading, token, brackets)
            case "|":
                _check_filter(reading, tokens[number + 1 :], token.start)
        _check_item(reading, token, brackets)
        if token.text == "is" and token.kind == "name":
            _check_test(reading, tokens[number + 1 :], token.start)


def _parenthesis(reading: _Reading, tokens: list[_Token], number: int) -> str:
    """Return what a parenthesis is: `args` of a filter or test, or `group`. Anything else would be a call."""
    before = tokens[number - 1] if number else None
    if before is None or not before.is_value():
        return "group"
    words = [token.text for token in tokens[max(0, number - 3) : number - 1]]
    if before.is_name() and (words[-1:] in (["|"], ["is"]) or words == ["is", "not"]):
        return "args"
    raise reading.refuse(
        before.start, f"{before.text[:50]} cannot be called; there are only filters"
    )


def _check_between(reading: _Reading, token: _Token, brackets: list[str]) -> None:
    """Refuse commas and assignments outside of arguments: they would make tuples, or mean nothing."""
    if brackets[-1:] != ["args"] and (token.text == "=" or brackets[-1:] != ["list"]):
        raise reading.refuse(token.start, f"`{token.text}` means nothing here")


def _check_item(reading: _Reading, token: _Token, brackets: list[str]) -> None:
    """Refuse lists of anything but constants: lists of lists would grow without any cost to the engine."""
    constant = token.kind in ("text", "number") or token.text in {*_CONSTANTS, "[", ",", "-"}
    if brackets[-1:] == ["list"] and (not constant or brackets[-2:-1] == ["list"]):
        raise reading.refuse(token.start, "a list may hold only texts and numbers")


def _check_filter(reading: _Reading, after: list[_Token], place: int) -> None:
    name = _word(after)
    if name not in FILTERS:
        offered = ", ".join(sorted(FILTERS))
        raise reading.refuse(place, f"there is no filter {name[:50]!a}; there are {offered}")


def _check_test(reading: _Reading, after: list[_Token], place: int) -> None:
    words = [token.text for token in after[:2]]
    name = (words[1:] if words[:1] == ["not"] else words)[:1]
    if not TESTS.issuperset(name) or not name:
        offered = ", ".join(sorted(TESTS))
        raise reading.refuse(place, f"there is no test {''.join(name)[:50]!a}; there are {offered}")
