"""A look at all records of a domain, at name servers where they are right, wrong, split, doubled or missing."""

from __future__ import annotations

from dataclasses import replace

from app.identity.findings import Finding, FindingState
from app.identity.records import Hosts, PublicKey, Purpose, Record, RecordType, records_of
from tests.fakes.dns import Trouble
from tests.fakes.identity import ED25519, RSA
from tests.worker.identity.servers import Names, name_servers, put
from worker.identity.inspection import inspect

DOMAIN = "shop.example"
KEYS = (PublicKey("r", RSA), PublicKey("e", ED25519))
HOSTS = Hosts(("include:spf.mail.example.net",), "in.mail.example.net")
RECORDS = records_of(DOMAIN, f"bounces.{DOMAIN}", KEYS, HOSTS)
RSA_RECORD = RECORDS[0]


async def findings(names: Names, *records: Record, budget_s: float = 20) -> tuple[Finding, ...]:
    return await inspect(DOMAIN, records or RECORDS, names.servers, budget_s)


async def test_records_that_are_published_as_they_were_given_are_ok() -> None:
    async with name_servers() as names:
        names.publish(*RECORDS)
        found = await findings(names)
        assert [each.state for each in found] == [FindingState.OK] * len(RECORDS)
        assert found[0].found == (RSA,)


async def test_nothing_published_is_missing_with_the_value_that_is_wanted() -> None:
    async with name_servers() as names:
        found = await findings(names)
        assert {each.state for each in found} == {FindingState.MISSING}
        assert [each.value for each in found] == [each.value for each in RECORDS]


async def test_a_wrong_value_is_shown_beside_the_one_that_is_wanted() -> None:
    async with name_servers() as names:
        wrong = replace(RSA_RECORD, value=RSA[:255])
        names.publish(wrong)
        (found,) = await findings(names, RSA_RECORD)
        assert (found.state, found.found, found.value) == (FindingState.WRONG, (RSA[:255],), RSA)
        assert "cut off" in found.detail


async def test_name_servers_that_disagree_are_named() -> None:
    async with name_servers() as names:
        put(names.one, RSA_RECORD)
        (found,) = await findings(names, RSA_RECORD)
        assert found.state is FindingState.SPLIT
        assert "ns1.example.net has it, ns2.example.net has not (there is no key)" in found.detail
        put(names.two, replace(RSA_RECORD, value=RSA.replace("MIIB", "NIIB")))
        (found,) = await findings(names, RSA_RECORD)
        assert found.state is FindingState.SPLIT
        assert "another key" in found.detail


async def test_one_server_that_answers_is_enough_and_the_other_is_mentioned() -> None:
    async with name_servers() as names:
        put(names.one, RSA_RECORD)
        names.two.trouble(RSA_RECORD.name, Trouble.REFUSED)
        (found,) = await findings(names, RSA_RECORD)
        assert found.state is FindingState.OK
        assert "ns2.example.net (answers REFUSED)" in found.detail


async def test_a_domain_that_the_form_appended_once_more_is_found() -> None:
    async with name_servers() as names:
        names.publish(replace(RSA_RECORD, name=f"{RSA_RECORD.name}.{DOMAIN}"))
        (found,) = await findings(names, RSA_RECORD)
        assert found.state is FindingState.WRONG
        assert f"it stands at {RSA_RECORD.name}.{DOMAIN}" in found.detail
        assert found.detail.endswith("enter the name without it: r._domainkey")


async def test_the_form_of_a_zone_above_appends_that_zone() -> None:
    async with name_servers() as names:
        mail = f"mail.{DOMAIN}"
        record = replace(RSA_RECORD, name=f"r._domainkey.{mail}")
        names.publish(replace(record, name=f"{record.name}.{DOMAIN}"))
        (found,) = await inspect(mail, [record], names.servers, 20)
        assert found.state is FindingState.WRONG
        assert found.detail.endswith("enter the name without it: r._domainkey.mail")


async def test_zones_that_answer_every_name_hold_no_doubled_records() -> None:
    async with name_servers() as names:
        names.publish(
            Record(Purpose.SPF, f"{RSA_RECORD.name}.{DOMAIN}", RecordType.TXT, "any", True)
        )
        (found,) = await findings(names, RSA_RECORD)
        assert found.state is FindingState.MISSING


async def test_a_dmarc_record_of_a_domain_above_holds_too() -> None:
    async with name_servers() as names:
        mail = f"mail.{DOMAIN}"
        record = replace(RECORDS[-1], name=f"_dmarc.{mail}")
        names.publish(replace(record, name=f"_dmarc.{DOMAIN}", value="v=DMARC1; p=reject"))
        (found,) = await inspect(mail, [record], names.servers, 20)
        assert found.state is FindingState.OK
        assert found.detail == "the record of _dmarc.shop.example holds for this domain too"


async def test_silent_name_servers_are_unreachable_and_hold_nobody_up() -> None:
    async with name_servers() as names:
        names.publish(*RECORDS[1:])
        for server in (names.top, names.one, names.two):
            server.trouble(RSA_RECORD.name, Trouble.SILENCE)
        found = await findings(names, budget_s=0.8)
        assert [each.state for each in found[1:]] == [FindingState.OK] * (len(RECORDS) - 1)
        assert found[0].state is FindingState.UNREACHABLE
        assert "no answer within 0.8 seconds" in found[0].detail
        assert not found[0].is_trouble


async def test_what_is_told_of_endless_records_has_an_end() -> None:
    spf, tail = RECORDS[2], "".join(f" ip4:192.0.2.1/{n}" for n in range(3000))
    async with name_servers() as names:
        names.publish(
            replace(spf, value=f"v=spf1{tail}"), replace(RSA_RECORD, value=f"{RSA}; h={tail}")
        )
        found = await findings(names, spf, RSA_RECORD)
        assert [each.state for each in found] == [FindingState.WRONG] * 2
        assert [each.value for each in found] == [spf.value, RSA]
        assert all(len(each.detail) + len("".join(each.found)) < 2000 for each in found)
