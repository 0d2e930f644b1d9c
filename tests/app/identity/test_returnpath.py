"""Where return paths stand: at the project's own domain, else at that of the settings, else nowhere."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import SecretStr, ValidationError

from app.identity.returnpath import Place, ReturnPaths
from app.identity.tokens import LONGEST_DOMAIN, MOST_RECIPIENTS, Tokens
from app.ids import ProjectId
from app.messages import Field, Recipient
from app.settings import DkimSettings, Settings
from app.settings.returnpath import ReturnPathSettings
from app.settings.rootkeys import SecretSettings
from tests.fakes.letters import PROJECT, Letter

SECRET = SecretSettings(key=SecretStr("5f" * 32))
FALLBACK = "bounces.operator.example"


@dataclass(frozen=True)
class Known:
    """Projects' domains, by project and the domain of From."""

    domains: dict[tuple[ProjectId, str], str]

    async def return_path_domain(self, project: ProjectId, author_domain: str) -> str | None:
        return self.domains.get((project, author_domain))


OWN = Known({(PROJECT, "example.com"): "bounces.example.com"})


def settings(
    domain: str | None = None, secrets: SecretSettings = SECRET, *, enabled: bool = True
) -> Settings:
    return Settings(
        dkim=DkimSettings(required=False),
        secrets=secrets,
        return_path=ReturnPathSettings(enabled=enabled, domain=domain),
    )


async def domain_of(chosen: Settings, known: Known = OWN, author: str = "example.com") -> str:
    place = await ReturnPaths.of(chosen, known).place(PROJECT, author)
    return place.domain if place else ""


async def test_a_projects_own_domain_comes_before_that_of_the_settings() -> None:
    assert await domain_of(settings()) == "bounces.example.com"
    assert await domain_of(settings(FALLBACK)) == "bounces.example.com"
    assert await domain_of(settings(FALLBACK), author="example.net") == FALLBACK
    other = Known({(ProjectId("other"), "example.com"): "bounces.example.com"})
    assert await domain_of(settings(FALLBACK), other) == FALLBACK


async def test_bounces_go_to_the_author_without_a_domain_or_a_secret_or_switched_off() -> None:
    assert await domain_of(settings(), author="example.net") == ""
    assert await domain_of(settings(secrets=SecretSettings())) == ""
    assert await domain_of(settings(FALLBACK, enabled=False)) == ""


@pytest.mark.parametrize(
    ("octets", "is_used"), [(LONGEST_DOMAIN, True), (LONGEST_DOMAIN + 1, False)]
)
async def test_bounces_go_to_the_author_where_the_path_would_be_too_long(
    octets: int, is_used: bool
) -> None:
    domain = "d" * (octets - len(".example")) + ".example"
    known = Known({(PROJECT, "example.com"): domain})
    assert await domain_of(settings(FALLBACK), known) == (domain if is_used else "")


def test_a_message_with_too_many_recipients_has_no_return_paths() -> None:
    place, message = Place(Tokens([b"k" * 32]), FALLBACK), Letter().message()
    crowd = (Recipient("ann@example.org", "example.org", Field.TO),) * MOST_RECIPIENTS
    assert len(place.paths(PROJECT, message.stream, message.id, crowd)) == MOST_RECIPIENTS
    assert place.paths(PROJECT, message.stream, message.id, (*crowd, crowd[0])) == ()


def test_a_secret_that_was_replaced_still_reads_what_was_made_with_it() -> None:
    rotated = SecretSettings(key=SecretStr("a7" * 32), former_keys=(SecretStr("5f" * 32),))
    before = ReturnPaths.of(settings(), OWN).tokens
    after = ReturnPaths.of(settings(secrets=rotated), OWN).tokens
    message = Letter().message()
    (token,) = before.make(PROJECT, message.stream, message.id, ["ann@example.org"])
    origin = after.read(token, [PROJECT])
    assert origin is not None
    assert origin.message == message.id


def test_a_domain_for_return_paths_needs_a_secret() -> None:
    with pytest.raises(
        ValidationError, match=r"return_path\.domain is set but secrets\.key is not"
    ):
        settings(FALLBACK, SecretSettings())


@pytest.mark.parametrize(
    "domain", ["Bounces.example", "bounces", "b\u00fc.example", "a.example.", "-a.example"]
)
def test_a_domain_for_return_paths_is_written_in_a_labels(domain: str) -> None:
    with pytest.raises(ValidationError, match=r"should match pattern"):
        settings(domain)
