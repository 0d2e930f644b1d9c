"""The OpenAPI document: complete, and the same as the file in the repository."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from app.api.answers.history import EventOut
from app.api.answers.problems import ProblemOut
from app.api.resources.forms import EndpointRequest, SuppressionRequest
from app.api.sending.batches import BatchRequest, SharedAttachmentIn
from app.api.sending.requests import MessageRequest
from app.events import EventType
from app.main import create_app
from app.openapi import FILE, check, render
from app.settings import DkimSettings, Settings

Node = dict[str, object]


@pytest.fixture(scope="module")
def document() -> Node:
    return TypeAdapter(Node).validate_python(yaml.safe_load(render()))


def _node(value: object) -> Node:
    assert isinstance(value, dict)
    return value


def test_file_in_the_repository_is_what_the_code_says() -> None:
    assert check(FILE) == ""


def test_outdated_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    old = tmp_path / "openapi.yaml"
    old.write_text(render().replace("send_message", "send_mail"))
    remedy = check(old)
    assert "-      operationId: send_mail" in remedy
    assert remedy.endswith("openapi.yaml is out of date: run `make openapi`")
    assert "make openapi" in check(tmp_path / "missing.yaml")


def test_yaml_says_the_same_as_the_api() -> None:
    app = create_app(Settings(dkim=DkimSettings(required=False)))
    assert yaml.safe_load(render()) == app.openapi()


def test_every_operation_has_a_name_and_says_how_it_fails(document: Node) -> None:
    names = []
    for path, calls in _node(document["paths"]).items():
        for call in _node(calls).values():
            names.append(_node(call)["operationId"])
            answers = _node(_node(call)["responses"])
            assert path == "/healthz" or any(int(status) >= 400 for status in answers)
    assert len(names) == len(set(names)) == 38


def test_every_reference_leads_somewhere(document: Node) -> None:
    schemas = _node(_node(document["components"])["schemas"])
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for child in node.values() for found in _references(child)]
    return (
        [found for child in node for found in _references(child)] if isinstance(node, list) else []
    )


def test_every_event_is_described_as_a_webhook(document: Node) -> None:
    assert set(_node(document["webhooks"])) == set(EventType)


def test_examples_of_requests_are_accepted(document: Node) -> None:
    schemas = _node(_node(document["components"])["schemas"])
    for model in (MessageRequest, EndpointRequest, SuppressionRequest):
        examples = _node(schemas[model.__name__])["examples"]
        assert isinstance(examples, list)
        for example in examples:
            model.model_validate(example)


def _example(name: str) -> str:
    return (FILE.parent / "examples" / name).read_text()


def test_files_of_examples_have_the_forms_of_the_contract() -> None:
    for name in ("send-simple.json", "send-everything.json", "send-merge.json"):
        request = MessageRequest.model_validate_json(_example(name))
        request.to_draft(datetime.now(UTC), Settings(dkim=DkimSettings(required=False)))
    batch = json.loads(_example("send-batch.json"))
    (shared,) = batch["attachments"]
    shelf = {shared["id"]: SharedAttachmentIn.model_validate(shared)}
    BatchRequest.model_validate(batch, context=shelf)
    EndpointRequest.model_validate_json(_example("create-endpoint.json"))
    SuppressionRequest.model_validate_json(_example("suppress.json"))
    event = EventOut.model_validate_json(_example("event-bounced.json"))
    assert json.loads(event.model_dump_json()) == json.loads(_example("event-bounced.json"))
    ProblemOut.model_validate_json(_example("problem.json"))
