"""Domains over HTTP: what is taken, what is answered, and the rule that From must be a verified one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.identity.domain import DomainStatus
from app.identity.domains import Domains
from app.identity.findings import Finding, FindingState
from app.identity.records import Purpose, Record, RecordType
from app.ids import ProjectId
from app.settings import Settings
from app.settings.domains import DomainSettings
from app.spool.client import Redis
from tests.app.api.client import MESSAGE, Answer, Client
from tests.fakes.identity import domains_of, put

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
RAW = b"From: a@shop.example\r\nTo: ada@example.com\r\nSubject: Hi\r\n%s\r\nHello\r\n"
ENVELOPE = "/messages/raw?mail_from={}&rcpt_to=ada@example.com"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with the rule, and with short waits."""
    wanted = DomainSettings(
        required=True,
        shared=("shared.example",),
        spf=("include:spf.mail.example.net",),
        return_path_host="in.mail.example.net",
        max_domains=3,
        cache=timedelta(milliseconds=1),
        budget=timedelta(milliseconds=10),
    )
    return settings.model_copy(update={"domains": wanted})


@pytest.fixture
async def domains(settings: Settings, redis: Redis) -> Domains:
    """What the API keeps of domains."""
    return domains_of(redis, settings)


async def verify(domains: Domains, name: str, project: ProjectId = SHOP) -> None:
    """Make a domain verified, as a worker would."""
    domain = await domains.create(project, name, f"bounces.{name}")
    status = DomainStatus.VERIFIED
    await put(domains, domain, replace(domain, status=status, checked_at=datetime.now(UTC)))


async def raw(client: Client, header: bytes = b"", mail_from: str = "a@shop.example") -> Answer:
    return await client.call(
        "POST",
        ENVELOPE.format(mail_from),
        body=RAW % header,
        headers={"Content-Type": "message/rfc822"},
    )


async def test_a_new_domain_says_what_to_publish(client: Client) -> None:
    made = await client.post("/domains", {"name": "Shop.example", "return_path": "back"})
    assert made.status == 201
    assert made.headers["location"] == "/domains/shop.example"
    assert (made.at("/name"), made.at("/status")) == ("shop.example", "pending")
    assert made.at("/return_path") == "back.shop.example"
    assert (made.at("/checked_at"), made.at("/records/0/state")) == (None, None)
    records = made.at("/records")
    assert isinstance(records, list)
    kinds = [(each["type"], each["required"]) for each in records if each["purpose"] == "dkim"]
    assert kinds == [("TXT", True), ("TXT", True)]
    mx = next(each for each in records if each["purpose"] == "return_path_mx")
    assert mx == {
        "purpose": "return_path_mx",
        "name": "back.shop.example",
        "type": "MX",
        "value": "10 in.mail.example.net",
        "required": True,
        "state": None,
        "found": [],
        "detail": "",
        "zone_line": "back.shop.example. 3600 IN MX 10 in.mail.example.net.",
    }
    got = await client.get("/domains/shop.example")
    assert json.loads(got.body) == json.loads(made.body)
    zone = await client.get("/domains/shop.example/zone")
    assert zone.headers["content-type"].startswith("text/plain")
    assert all(each["zone_line"] in zone.body.decode().splitlines() for each in records)
    assert (await client.get("/domains")).at("/data/0/name") == "shop.example"


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        ({"name": "co.uk"}, ("/name", "invalid_domain")),
        ({"name": "192.0.2.1"}, ("/name", "invalid_domain")),
        ({"name": "localhost"}, ("/name", "invalid_domain")),
        ({"name": "a_b.example"}, ("/name", "invalid_domain")),
        ({"name": "shop.example\n"}, ("/name", "control_character")),
        ({"name": 7}, ("/name", "wrong_type")),
        ({"name": "shop.example", "return_path": "x.example"}, ("/return_path", "invalid_domain")),
        ({"name": "shop.example", "return_path": "a b"}, ("/return_path", "invalid_domain")),
        ({"name": "shop.example", "status": "verified"}, ("/status", "unknown_field")),
    ],
)
async def test_names_that_cannot_be_sent_from_are_refused(
    client: Client, request_: Mapping[str, object], refused: tuple[str, str]
) -> None:
    answer = await client.post("/domains", request_)
    assert (answer.status, answer.refused) == (422, [refused])
    assert (await client.get("/domains")).at("/data") == []


async def test_a_domain_is_made_once_and_a_project_has_so_many(client: Client) -> None:
    for name in ("a.example", "b.example", "c.example"):
        assert (await client.post("/domains", {"name": name})).status == 201
    again = await client.post("/domains", {"name": "A.example"})
    assert again.refused == [("/name", "domain_exists")]
    more = await client.post("/domains", {"name": "d.example"})
    assert more.refused == [("", "too_many_domains")]
    assert (await client.call("DELETE", "/domains/a.example")).status == 204
    assert (await client.get("/domains/a.example")).status == 404
    assert (await client.post("/domains", {"name": "d.example"})).status == 201


@pytest.mark.parametrize(
    "path", ["m%C3%BCnchen.example", "XN--MNCHEN-3YA.example", "M%C3%9CNCHEN.EXAMPLE."]
)
async def test_a_domain_is_found_however_its_name_is_spelled(client: Client, path: str) -> None:
    assert (await client.post("/domains", {"name": "München.example"})).status == 201
    assert (await client.get(f"/domains/{path}")).at("/name") == "xn--mnchen-3ya.example"
    assert (await client.get(f"/domains/{path}/zone")).status == 200
    assert (await client.call("DELETE", f"/domains/{path}")).status == 204
    assert (await client.get(f"/domains/{path}")).code == "not_found"


@pytest.mark.parametrize("path", ["a@b.example", "shop", "a%0Ab.example", "*.example", "x" * 300])
async def test_what_can_be_no_domain_is_not_found(client: Client, path: str) -> None:
    assert (await client.get(f"/domains/{path}")).code == "not_found"


async def test_a_key_that_a_check_makes_a_required_one_keeps_what_was_found_of_it(
    client: Client, domains: Domains
) -> None:
    await client.post("/domains", {"name": "shop.example"})
    domain = await domains.one(SHOP, "shop.example")
    shown = (await client.get("/domains/shop.example")).at("/records")
    assert isinstance(shown, list)
    keys = [
        Record(Purpose.DKIM, each["name"], RecordType.TXT, each["value"], is_required=False)
        for each in shown
        if each["purpose"] == "dkim"
    ]
    found = tuple(Finding(each, FindingState.OK, (each.value,), "", each.value) for each in keys)
    await put(domains, domain, replace(domain, findings=found))
    shown = (await client.get("/domains/shop.example")).at("/records")
    assert isinstance(shown, list)
    dkim = [(each["required"], each["state"]) for each in shown if each["purpose"] == "dkim"]
    assert dkim == [(True, "ok"), (True, "ok")]


async def test_two_projects_may_claim_one_name(client: Client, stranger: Client) -> None:
    assert (await client.post("/domains", {"name": "shop.example"})).status == 201
    assert (await stranger.post("/domains", {"name": "shop.example"})).status == 201
    await stranger.call("DELETE", "/domains/shop.example")
    assert (await client.get("/domains/shop.example")).status == 200


async def test_where_no_worker_answers_the_check_goes_on(client: Client, redis: Redis) -> None:
    await client.post("/domains", {"name": "shop.example"})
    answer = await client.call("POST", "/domains/shop.example/verify")
    assert (answer.status, answer.at("/status")) == (202, "pending")
    job = await redis.call("ZCARD", redis.keys.queue)
    assert job == 1


async def test_what_was_checked_a_moment_ago_is_not_checked_again(
    client: Client, redis: Redis, domains: Domains
) -> None:
    await verify(domains, "shop.example")
    answer = await client.call("POST", "/domains/shop.example/verify")
    assert (answer.status, answer.at("/status")) == (200, "verified")
    assert await redis.call("ZCARD", redis.keys.queue) == 0


async def test_from_must_be_a_verified_domain_of_the_project(
    client: Client, stranger: Client, domains: Domains
) -> None:
    foreign = await client.send()
    assert (foreign.status, foreign.refused) == (422, [("/from", "domain_not_verified")])
    await client.post("/domains", {"name": "shop.example"})
    pending = await client.send()
    assert pending.refused == [("/from", "domain_not_verified")]
    assert "waits to be verified" in pending.text_at("/errors/0/detail")
    await client.call("DELETE", "/domains/shop.example")
    await verify(domains, "shop.example")
    assert (await client.send()).status == 202
    assert (await client.send(sender="a@news.shop.example")).status == 202
    assert (await client.send(sender="a@shared.example")).status == 202
    assert (await stranger.send()).refused == [("/from", "domain_not_verified")]


async def test_each_message_of_a_batch_is_judged_by_itself(
    client: Client, domains: Domains
) -> None:
    await verify(domains, "shop.example")
    messages = [dict(MESSAGE), {**MESSAGE, "from": "a@other.example"}, dict(MESSAGE)]
    answer = await client.post("/messages/batch", {"messages": messages})
    results = answer.at("/results")
    assert isinstance(results, list)
    assert [each["status"] for each in results] == ["accepted", "refused", "accepted"]
    assert b"domain_not_verified" in answer.body


async def test_finished_mails_speak_in_no_strangers_name(client: Client, domains: Domains) -> None:
    assert (await raw(client)).refused == [("/header/from", "domain_not_verified")]
    await verify(domains, "shop.example")
    await verify(domains, "other.example", OTHER)
    assert (await raw(client)).status == 202
    assert (await raw(client, b"Sender: b@mail.shop.example\r\n")).status == 202
    foreign = await raw(client, b"Sender: b@other.example\r\n")
    assert foreign.refused == [("/header/sender", "domain_not_verified")]
    path = await raw(client, mail_from="b@other.example")
    assert path.refused == [("/mail_from", "domain_not_verified")]


@pytest.mark.parametrize(
    "header",
    [
        b"From: b@other.example\r\n",
        b"Sender: a@shop.example, b@other.example\r\n",
        b"Sender: group: b@other.example;\r\n",
    ],
)
async def test_no_second_author_hides_behind_one_that_may_send(
    client: Client, domains: Domains, header: bytes
) -> None:
    await verify(domains, "shop.example")
    assert (await raw(client, header)).status == 422


async def test_a_group_in_from_names_nobody_who_may_send(client: Client, domains: Domains) -> None:
    await verify(domains, "shop.example")
    for sender in ("a@shop.example, b@other.example", "g: a@shop.example;", "a@[192.0.2.1]"):
        assert (await client.send(sender=sender)).status == 422
