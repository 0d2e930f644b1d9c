"""The OpenAPI document: what FastAPI cannot see by itself, and how all of it is put together.

Bodies are read by `app.api.body` and not by FastAPI, so their schemas are added here; so are the problems
that each call may answer with, and the webhooks.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from types import MappingProxyType
from typing import Literal, TypeAlias

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.answers.batches import BatchProblemOut
from app.api.answers.domains import DomainEventOut
from app.api.answers.dryruns import DryRunOut
from app.api.answers.history import EventOut
from app.api.answers.problems import ProblemOut
from app.api.body import JSON, MAIL
from app.api.identity.domainforms import DomainRequest
from app.api.identity.keyforms import KeyRequest
from app.api.problems import KINDS, MEDIA_TYPE
from app.api.resources.exports import MEDIA_TYPES, Form
from app.api.resources.forms import EndpointRequest, SuppressionLine, SuppressionRequest
from app.api.resources.templateforms import (
    CurrentRequest,
    PreviewRequest,
    TemplateRequest,
    UnsavedRequest,
    VersionRequest,
)
from app.api.sending.batches import BatchRequest
from app.api.sending.requests import MessageRequest
from app.events import EventType
from app.projects.keys import Scope
from app.wire import Json

Call: TypeAlias = Literal[
    "send",
    "send_raw",
    "create",
    "create_domain",
    "change",
    "preview",
    "preview_unsaved",
    "import",
    "list",
    "search",
    "read",
    "delete_version",
    "delete_suppression",
    "verify",
    "import_key",
    "rotate",
    "revoke",
    "ready",
]
Responses: TypeAlias = "dict[int | str, dict[str, Json]]"

VERSION = "1.0"
"""Version of the contract; it changes with the HTTP interface and not with the program."""

DESCRIPTION = """\
Post a message as JSON; Pillarbox carries it to the MX server of each recipient, tries again for days where
it must, and tells your application by webhook what became of every recipient.

* Keys: `Authorization: Bearer pb_…`. A key belongs to one project and has scopes: `send`, `read`, `manage`.
* Errors: `application/problem+json` (RFC 9457) with a stable `code`; `errors[]` names fields by JSON pointer.
* Times: RFC 3339 in UTC. Unknown fields are refused.
"""

KEY_HEADER = "Idempotency-Key"
"""The header field that makes a repetition safe."""
KEY_PATTERN = r"^[!-~]{1,256}$"
"""What it may hold."""
_KEY_TEXT = (
    "Makes a repetition safe: with the same key and body, the first answer is given again "
    "for 24 hours, and nothing is sent twice."
)

_KEYED = ("unauthenticated", "forbidden")
_STORED = ("spool_unavailable",)
_READ_BODY = ("too_large", "unsupported_media_type", "invalid_request", "crowded")
_SENT = ("invalid_header", *_KEYED, "idempotency_conflict", *_STORED, "spool_full", "vault_closed")
_CODES: Mapping[Call, tuple[str, ...]] = MappingProxyType(
    {
        "send": ("malformed_json", *_READ_BODY, "invalid_parameter", *_SENT),
        "send_raw": (*_READ_BODY, "invalid_parameter", *_SENT),
        "create": ("malformed_json", *_READ_BODY, *_KEYED, *_STORED, "spool_full"),
        "create_domain": (
            "malformed_json",
            *_READ_BODY,
            *_KEYED,
            *_STORED,
            "spool_full",
            "vault_closed",
        ),
        "change": ("malformed_json", *_READ_BODY, *_KEYED, "not_found", *_STORED, "spool_full"),
        "preview": ("malformed_json", *_READ_BODY, *_KEYED, "not_found", *_STORED),
        "preview_unsaved": ("malformed_json", *_READ_BODY, *_KEYED, *_STORED),
        "list": (*_KEYED, *_STORED),
        "search": ("invalid_parameter", *_KEYED, *_STORED),
        "delete_version": (*_KEYED, "not_found", "invalid_request", *_STORED),
        "import": (*_READ_BODY, "invalid_parameter", *_KEYED, *_STORED, "spool_full"),
        "delete_suppression": ("invalid_parameter", *_KEYED, "not_found", *_STORED),
        "import_key": (
            "malformed_json",
            *_READ_BODY,
            *_KEYED,
            "not_found",
            *_STORED,
            "spool_full",
            "vault_closed",
        ),
        "rotate": (*_KEYED, "not_found", "invalid_request", *_STORED, "spool_full", "vault_closed"),
        "revoke": ("invalid_parameter", *_KEYED, "not_found", "invalid_request", *_STORED),
        "read": (*_KEYED, "not_found", *_STORED),
        "verify": (*_KEYED, "not_found", *_STORED),
        "ready": ("not_ready",),
    }
)
_MAIL_EXAMPLE: Json = {
    "plain": {
        "value": "From: Pillarbox <hello@shop.example>\r\nTo: Ada Lovelace <ada@example.com>\r\n"
        "Subject: Your order has shipped\r\n\r\nIt will be with you on Friday.\r\n"
    }
}
_REQUESTS = (
    MessageRequest,
    BatchRequest,
    EndpointRequest,
    TemplateRequest,
    VersionRequest,
    CurrentRequest,
    PreviewRequest,
    UnsavedRequest,
    SuppressionRequest,
    SuppressionLine,
    DomainRequest,
    KeyRequest,
)
_PROBLEMS = (ProblemOut, BatchProblemOut)


def problems(
    call: Call, more: Responses | None = None, answer: type[ProblemOut] = ProblemOut
) -> Responses:
    """Return the answers, besides success, that this kind of call may give."""
    responses = copy.deepcopy(more or {})
    by_status: dict[HTTPStatus, list[str]] = {}
    for code in _CODES[call]:
        by_status.setdefault(KINDS[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[status.value] = _problem(status, codes, answer)
    return responses


def _problem(status: HTTPStatus, codes: list[str], answer: type[ProblemOut]) -> dict[str, Json]:
    titles = " ".join(f"{KINDS[code].title} (`{code}`)." for code in codes)
    response: dict[str, Json] = {
        "description": titles,
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["headers"] = _header("Retry-After", "Seconds until trying again makes sense.")
    if status == HTTPStatus.UNAUTHORIZED:
        response["headers"] = _header("WWW-Authenticate", "Always Bearer.")
    return response


def replayed_header() -> Responses:
    """Return what the answer to a repeated request has besides its body."""
    text = "`true` where this is the first answer again, for a repeated Idempotency-Key."
    return {HTTPStatus.ACCEPTED.value: {"headers": _header("Idempotent-Replayed", text)}}


def _header(name: str, description: str) -> dict[str, Json]:
    return {name: {"description": description, "schema": {"type": "string"}}}


def body_of(model: type[BaseModel]) -> dict[str, Json]:
    """Return the part of an operation that says its body is `model`."""
    schema: Json = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def lines_of(model: type[BaseModel]) -> dict[str, Json]:
    """Return the part of an operation that says its body is lines, each of them `model`."""
    reference: Json = {"$ref": f"#/components/schemas/{model.__name__}"}
    schema: Json = {
        "type": "string",
        "description": "Lines, each an object of this schema; in CSV, its fields are the columns.",
        "contentMediaType": "application/json",
        "contentSchema": reference,
    }
    lines: dict[str, Json] = {name: {"schema": schema} for name in MEDIA_TYPES.values()}
    return {"requestBody": {"required": True, "content": lines}}


def lines_out() -> Responses:
    """Return what an answer of lines is."""
    schema: Json = {"type": "string"}
    return {
        HTTPStatus.OK.value: {"content": {MEDIA_TYPES[form]: {"schema": schema} for form in Form}}
    }


def sent_by(scope: Scope, model: type[BaseModel]) -> dict[str, Json]:
    """Return the part of an operation that says it takes `model`, once per idempotency key, with this scope."""
    return {
        "security": [{"api_key": [scope.value]}],
        "parameters": [_key_parameter()],
        **body_of(model),
    }


def mailed_by(scope: Scope, query: type[BaseModel]) -> dict[str, Json]:
    """Return the part of an operation that takes a whole mail, with the fields of `query` as parameters."""
    schema = query.model_json_schema(ref_template="#/components/schemas/{model}")
    required = schema["required"]
    names = [*required, *(name for name in schema["properties"] if name not in required)]
    mail: Json = {"schema": {"type": "string", "contentMediaType": MAIL}, "examples": _MAIL_EXAMPLE}
    return {
        "security": [{"api_key": [scope.value]}],
        "parameters": [
            *[
                _query_parameter(name, schema["properties"][name], is_required=name in required)
                for name in names
            ],
            _key_parameter(),
        ],
        "requestBody": {"required": True, "content": {MAIL: mail}},
    }


def _query_parameter(name: str, field: dict[str, Json], *, is_required: bool) -> dict[str, Json]:
    told: dict[str, Json] = {"name": name, "in": "query", "required": is_required}
    # What is missing from a query is left out of it, so that there is no null.
    kinds = field.get("anyOf")
    schema = kinds[0] if isinstance(kinds, list) else {"type": "array", "items": field["items"]}
    # An object has no form of its own in a query: it is sent as JSON.
    media: Json = {JSON: {"schema": schema}}
    content = {"content": media} if name == "metadata" else {"schema": schema}
    return {**told, "description": field["description"], **content}


def _key_parameter() -> dict[str, Json]:
    schema: Json = {
        "anyOf": [{"type": "string", "pattern": KEY_PATTERN}, {"type": "null"}],
        "description": _KEY_TEXT,
    }
    header: dict[str, Json] = {"name": KEY_HEADER, "in": "header", "required": False}
    return {**header, "schema": schema, "description": _KEY_TEXT}


class Api(FastAPI):
    """FastAPI with the whole document."""

    @cached_property
    def _document(self) -> dict[str, Json]:
        document = copy.deepcopy(super().openapi())
        for calls in document["paths"].values():
            for call in calls.values():
                _drop_foreign_problem(call["responses"])
        document["webhooks"] = {kind.value: {"post": _webhook(kind)} for kind in EventType}
        schemas = _own_schemas() | document["components"].pop("schemas")
        used = _reachable(document, schemas)
        document["components"]["schemas"] = {name: schemas[name] for name in sorted(used)}
        return _tidied_members(document)

    def openapi(self) -> dict[str, Json]:
        """Return the OpenAPI document, made once."""
        return self._document


def _drop_foreign_problem(responses: dict[str, dict[str, Json]]) -> None:
    """Drop the answer that FastAPI would give to bad parameters; `app.api.problems` gives another."""
    if responses.get("422", {}).get("description") == "Validation Error":
        del responses["422"]


def _own_schemas() -> dict[str, Json]:
    """Return the schemas that no route of FastAPI names."""
    _, added = models_json_schema(
        [
            *((model, "validation") for model in _REQUESTS),
            *(
                (model, "serialization")
                for model in (*_PROBLEMS, EventOut, DomainEventOut, DryRunOut)
            ),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Json] = added["$defs"]
    return schemas


def _reachable(document: Json, schemas: Mapping[str, Json]) -> set[str]:
    """Return the names of the schemas that the document uses, directly or by another one."""
    reached: set[str] = set()
    fresh = _named(document)
    while fresh:
        reached |= fresh
        fresh = {found for name in fresh for found in _named(schemas[name])} - reached
    return reached


def _named(part: Json) -> set[str]:
    return set(_REFERENCE.findall(json.dumps(part)))


def _webhook(kind: EventType) -> dict[str, Json]:
    form = DomainEventOut if kind.startswith("domain.") else EventOut
    return {
        "operationId": f"on_{kind.name.lower()}",
        "summary": _SUMMARIES[kind],
        "description": "Signed as Standard Webhooks. Posted again, with the same id, until a 2xx answers.",
        "tags": ["webhooks"],
        "parameters": [_webhook_header(name, text) for name, text in _SIGNATURE.items()],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}},
        },
        "responses": {"2XX": {"description": "Taken; it is not posted again."}},
    }


def _webhook_header(name: str, description: str) -> dict[str, Json]:
    place: dict[str, Json] = {"name": name, "in": "header", "required": True}
    return {**place, "description": description, "schema": {"type": "string"}}


def _tidied_members(members: dict[str, Json]) -> dict[str, Json]:
    """Drop the titles that pydantic makes up, and the endings that only our own code needs."""
    # Only `info` has a version; its title is ours. A title that is no string is a field of that name.
    return {
        _SUFFIX.sub("", name): _tidied(value)
        for name, value in members.items()
        if name != "title" or not isinstance(value, str) or "version" in members
    }


def _tidied(value: Json) -> Json:
    if isinstance(value, dict):
        return _tidied_members(value)
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    return _SUFFIX.sub("", value) if isinstance(value, str) and value.startswith("#/") else value


_REFERENCE = re.compile(r"#/components/schemas/(\w+)")
_SUFFIX = re.compile(r"(?<=[a-z])(Out|In)$")
_SUMMARIES: Mapping[EventType, str] = MappingProxyType(
    {
        EventType.QUEUED: "The message is on disk and will be tried",
        EventType.DEFERRED: "A try did not succeed; there will be another",
        EventType.DELIVERED: "The receiving system took responsibility",
        EventType.BOUNCED: "The recipient was refused for good",
        EventType.EXPIRED: "The message's time ended before any try succeeded",
        EventType.UNKNOWN: "The message was sent, but the receiver's answer was lost, and it is not sent again",
        EventType.SUPPRESSED: "The address is on the suppression list, and the message is not sent to it",
        EventType.UNSUBSCRIBED: "The recipient wants no more mail of this stream",
        EventType.DOMAIN_VERIFIED: "The DNS records of a domain are right, and mail may be sent from it",
        EventType.DOMAIN_FAILING: "They have been wrong for too long, and mail from the domain is held",
    }
)
_SIGNATURE: Mapping[str, str] = MappingProxyType(
    {
        "webhook-id": "The event's id: the same however often it is posted.",
        "webhook-timestamp": "When this post was made, in seconds since 1970.",
        "webhook-signature": "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` under the secret.",
    }
)
