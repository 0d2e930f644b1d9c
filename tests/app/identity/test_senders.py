"""Who may send from which domain: the rule at accept and before sending, and what it remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import InvalidRequest
from app.identity.domain import Domain, DomainStatus
from app.identity.domains import Domains
from app.identity.findings import Finding, FindingState
from app.identity.records import Purpose, Record, RecordType
from app.identity.senders import Senders, Standing
from app.ids import MessageId, ProjectId
from app.letters.drafts import Draft
from app.mail.address import Mailbox, parse_address
from app.messages import Message
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.domains import DomainSettings
from app.spool.client import Redis
from app.spool.workers.reports import INSTALLATION
from tests.fakes.identity import domains_of, put
from tests.fakes.letters import Letter
from worker.identity.permission import refusal
from worker.outcomes.outcome import Verdict

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
HOLD = timedelta(minutes=30)


@dataclass
class Rule:
    """The rule with what it asks, at a time that tests move on."""

    domains: Domains
    settings: DomainSettings
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.senders = Senders(self.domains, self.settings, lambda: self.seconds)

    async def domain(self, name: str, status: DomainStatus, project: ProjectId = SHOP) -> None:
        """Give a project a domain that stands like this."""
        domain = await self.domains.create(project, name, f"bounces.{name}")
        await self.turn(domain, status)

    async def turn(self, domain: Domain, status: DomainStatus) -> None:
        """Let a domain stand otherwise."""
        await put(self.domains, domain, replace(domain, status=status))

    async def standings(self, *names: str, project: ProjectId = SHOP) -> list[Standing]:
        """Return how a project stands to these domains."""
        return [await self.senders.standing(project, name) for name in names]


@pytest.fixture
async def rule(valkey_url: str) -> AsyncIterator[Rule]:
    wanted = DomainSettings(required=True, shared=("shared.example",))
    settings = Settings(
        redis=RedisSettings(url=valkey_url), domains=wanted, dkim=DkimSettings(required=False)
    )
    async with Redis.connect(settings.redis) as redis:
        yield Rule(domains_of(redis, settings), wanted)


async def test_a_verified_domain_covers_the_names_below_it_and_none_above(rule: Rule) -> None:
    await rule.domain("shop.example", DomainStatus.VERIFIED)
    free = await rule.standings("shop.example", "mail.shop.example", "a.b.c.shop.example")
    assert set(free) == {Standing.FREE}
    foreign = await rule.standings("example", "evilshop.example", "shop.example.org")
    assert set(foreign) == {Standing.FOREIGN}


async def test_a_domain_is_free_for_its_own_project_alone(rule: Rule) -> None:
    await rule.domain("shop.example", DomainStatus.VERIFIED)
    assert await rule.standings("shop.example", project=OTHER) == [Standing.FOREIGN]
    await rule.domain("shop.example", DomainStatus.PENDING, OTHER)
    assert await rule.standings("shop.example", project=OTHER) == [Standing.PENDING]


async def test_domains_that_wait_or_fail_are_not_free(rule: Rule) -> None:
    await rule.domain("new.example", DomainStatus.PENDING)
    await rule.domain("old.example", DomainStatus.FAILING)
    assert await rule.standings("mail.new.example", "old.example") == [
        Standing.PENDING,
        Standing.FAILING,
    ]
    await rule.domain("mail.old.example", DomainStatus.VERIFIED)
    assert await rule.standings("mail.old.example") == [Standing.FREE]


async def test_shared_domains_are_free_for_everybody(rule: Rule) -> None:
    for project in (SHOP, OTHER):
        found = await rule.standings("shared.example", "mail.shared.example", project=project)
        assert found == [Standing.FREE, Standing.FREE]


async def test_without_the_rule_everything_is_free(rule: Rule) -> None:
    lax = Senders(rule.domains, DomainSettings(required=False))
    assert await lax.standing(SHOP, "anything.example") is Standing.FREE


async def test_what_is_free_is_remembered_for_seconds_and_what_is_not_is_asked_again(
    rule: Rule,
) -> None:
    assert await rule.standings("shop.example") == [Standing.FOREIGN]
    await rule.domain("shop.example", DomainStatus.VERIFIED)
    assert await rule.standings("shop.example") == [Standing.FREE]
    await rule.domains.delete(SHOP, "shop.example")
    rule.seconds = 1.9
    assert await rule.standings("shop.example") == [Standing.FREE]
    rule.seconds = 2.1
    assert await rule.standings("shop.example") == [Standing.FOREIGN]


async def test_a_draft_in_a_strangers_name_is_refused_with_the_remedy(rule: Rule) -> None:
    ada = Mailbox("", parse_address("ada@example.com"))
    with pytest.raises(InvalidRequest) as caught:
        await rule.senders.require(Draft(ada, (ada,)), SHOP)
    (error,) = caught.value.fields
    assert (error.pointer, error.code) == ("/from", "domain_not_verified")
    assert "POST /domains" in error.detail


def message(mail_from: str, other_author: str = "") -> Message:
    wanted = Letter(created_at=datetime.now(UTC)).message()
    return replace(wanted, project=SHOP, mail_from=mail_from, other_author=other_author)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (DomainStatus.VERIFIED, None),
        (DomainStatus.FAILING, Verdict.WAITING),
        (DomainStatus.PENDING, Verdict.WAITING),
    ],
)
async def test_before_it_is_sent_mail_is_judged_by_how_its_domain_stands_then(
    rule: Rule, status: DomainStatus, verdict: Verdict | None
) -> None:
    await rule.domain("shop.example", status)
    outcome = await refusal(message("a@mail.shop.example"), rule.senders, HOLD)
    assert (outcome and outcome.verdict) == verdict
    assert outcome is None or (outcome.wait, outcome.peer) == (HOLD, None)


async def test_mail_of_a_domain_that_is_gone_ends(rule: Rule) -> None:
    outcome = await refusal(message("a@shop.example"), rule.senders, HOLD)
    assert outcome is not None
    assert outcome.verdict is Verdict.BOUNCED
    assert outcome.text == "5.7.1 not sent: shop.example is no domain of the project any more"


async def test_the_domain_of_a_return_path_of_ones_own_counts_beside_that_of_from(
    rule: Rule,
) -> None:
    await rule.domain("shop.example", DomainStatus.VERIFIED)
    await rule.domain("late.example", DomainStatus.FAILING)
    own = message("x@bounces.shop.example", other_author="a@shop.example")
    assert await refusal(own, rule.senders, HOLD) is None
    for path, author, verdict in (
        ("a@shop.example", "a@other.example", Verdict.BOUNCED),
        ("a@other.example", "a@shop.example", Verdict.BOUNCED),
        ("a@late.example", "a@shop.example", Verdict.WAITING),
        ("a@late.example", "a@other.example", Verdict.BOUNCED),
        ("a@other.example", "a@late.example", Verdict.BOUNCED),
    ):
        outcome = await refusal(message(path, other_author=author), rule.senders, HOLD)
        assert outcome is not None
        assert outcome.verdict is verdict


async def test_reports_are_our_own_mail(rule: Rule) -> None:
    about = replace(message("a@gone.example"), reports_on=MessageId("msg_1"))
    assert await refusal(about, rule.senders, HOLD) is None
    tls = replace(message("a@gone.example"), project=INSTALLATION)
    assert await refusal(tls, rule.senders, HOLD) is None


def path_findings(domain: str, mx: FindingState = FindingState.OK) -> tuple[Finding, ...]:
    """Return what was found of a return path whose SPF record is right."""
    name = f"bounces.{domain}"
    spf = Record(Purpose.RETURN_PATH, name, RecordType.TXT, "v=spf1 -all", is_required=True)
    host = Record(Purpose.RETURN_PATH_MX, name, RecordType.MX, "10 in.example", is_required=True)
    return (
        Finding(spf, FindingState.OK, (), "", spf.value),
        Finding(host, mx, (), "", host.value),
    )


async def test_a_return_path_is_used_once_its_own_records_are_right(rule: Rule) -> None:
    domain = await rule.domains.create(SHOP, "shop.example", "bounces.shop.example")
    assert await rule.senders.return_path_domain(SHOP, "mail.shop.example") is None
    verified = replace(domain, status=DomainStatus.VERIFIED)
    await put(rule.domains, domain, verified)
    rule.seconds += 3
    assert await rule.senders.return_path_domain(SHOP, "mail.shop.example") is None
    right = replace(verified, findings=path_findings("shop.example"))
    await put(rule.domains, verified, right)
    rule.seconds += 3
    found = await rule.senders.return_path_domain(SHOP, "mail.shop.example")
    assert found == "bounces.shop.example"
    assert await rule.senders.return_path_domain(OTHER, "mail.shop.example") is None
    broken = replace(right, findings=path_findings("shop.example", FindingState.MISSING))
    await put(rule.domains, right, broken)
    rule.seconds += 3
    assert await rule.senders.return_path_domain(SHOP, "mail.shop.example") is None


@pytest.mark.parametrize("missing", [0, 1])
async def test_a_return_path_of_which_a_record_is_not_asked_for_is_not_used(
    rule: Rule, missing: int
) -> None:
    domain = await rule.domains.create(SHOP, "shop.example", "bounces.shop.example")
    findings = (path_findings("shop.example")[1 - missing],)
    verified = replace(domain, status=DomainStatus.VERIFIED, findings=findings)
    await put(rule.domains, domain, verified)
    assert await rule.senders.return_path_domain(SHOP, "shop.example") is None
