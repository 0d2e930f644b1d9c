"""The parameter `dry_run` of the ways to send: read strictly, since a misspelt one would send.

Those routes take the request as it comes (`app.api.deps.Direct`), so the query is read here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import unquote_plus

from fastapi import Request

from app.api.answers.dryruns import DryRunOut
from app.api.body import JSON
from app.api.document import Responses
from app.api.problems import InvalidParameter
from app.wire import Json

_NAME = "dry_run"
_VALUES: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether nothing is to be sent, and what else stands in the query."""

    is_dry: bool
    rest: bytes


def asked(request: Request) -> Asked:
    """Return what the query of a request asks for. Raises InvalidParameter."""
    query: bytes = request.scope["query_string"]
    if not query:
        return Asked(False, query)
    rest, said = list[bytes](), list[str]()
    for piece in query.split(b"&"):
        name, _, value = piece.partition(b"=")
        if _plain(name) == _NAME:
            said.append(_plain(value))
        else:
            rest.append(piece)
    if len(said) > 1 or not _VALUES.keys() >= set(said):
        raise InvalidParameter("dry_run: must be true or false, and stand once")
    return Asked(any(_VALUES[each] for each in said), b"&".join(rest))


def asked_alone(request: Request) -> bool:
    """Tell whether nothing is to be sent. Raises InvalidParameter where the query asks for anything else."""
    found = asked(request)
    _refuse(found.rest, "`dry_run`")
    return found.is_dry


def refuse_dry_run(request: Request) -> None:
    """Raise InvalidParameter for any parameter where many messages are sent at once."""
    found = asked(request)
    if found.is_dry:
        raise InvalidParameter(
            "dry_run: a batch is not rehearsed; post its messages to /messages?dry_run=true one by one"
        )
    _refuse(found.rest, "none")


def rehearsed(responses: Responses) -> Responses:
    """Return the answers of a way to send with that to a dry run."""
    schema: Json = {"$ref": f"#/components/schemas/{DryRunOut.__name__}"}
    told: dict[str, Json] = {
        "description": "The answer to a dry run: nothing was stored, and nothing is sent.",
        "content": {JSON: {"schema": schema}},
    }
    return {HTTPStatus.OK.value: told, **responses}


def rehearsable(operation: Mapping[str, Json]) -> dict[str, Json]:
    """Return an operation with the parameter."""
    text = (
        "`true` does everything but send: the answer is 200, with what would be sent, the way that it "
        "would take, and warnings. An Idempotency-Key is not used up."
    )
    parameter: dict[str, Json] = {"name": _NAME, "in": "query", "required": False}
    parameter |= {"description": text, "schema": {"type": "boolean", "default": False}}
    changed = copy.deepcopy(dict(operation))
    parameters = changed["parameters"]
    changed["parameters"] = (
        [*parameters, parameter] if isinstance(parameters, list) else [parameter]
    )
    return changed


def _refuse(rest: bytes, known: str) -> None:
    names = [_plain(piece.partition(b"=")[0]) for piece in rest.split(b"&") if piece]
    if names:
        raise InvalidParameter(
            f"{names[0][:100]!a} is no parameter of this call, which takes {known}"
        )


def _plain(text: bytes) -> str:
    return unquote_plus(text.decode("ascii", "replace"))
