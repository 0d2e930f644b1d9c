"""What is said of values that stand in the DNS."""

from __future__ import annotations

import pytest

from app.identity.judging import Judgement, State, dkim, dmarc, exchanger, spf
from tests.fakes.identity import ED25519, RSA

KEY = RSA.partition("p=")[2]
SPF = "v=spf1 include:spf.mail.example.net -all"
DMARC = "v=DMARC1; p=none"


@pytest.mark.parametrize(
    "value",
    [
        RSA,
        f"k=rsa; p={KEY}",
        f"v=DKIM1;p={KEY};",
        f"v=DKIM1; k=rsa; h=sha256:sha1; s=email; p={KEY[:100]} {KEY[100:]}",
    ],
)
def test_a_key_is_recognised_however_it_is_written(value: str) -> None:
    assert dkim([value, "google-site-verification=1"], RSA) == Judgement(State.OK, "", RSA)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (RSA.replace("MIIB", "NIIB"), "another key"),
        (RSA[:255], "cut off after 237 of 360"),
        ("v=DKIM1; k=rsa; p=", "revoked"),
        ("v=DKIM1; k=rsa", "no p="),
        (f'"{RSA}"', "quotation marks"),
        (RSA.replace(";", "\\;"), "backslashes"),
        (f"v=DKIM1; k=rsa; p={KEY[:64]}\n{KEY[64:]}", "line breaks"),
        (f"v=DKIM1; k=ed25519; p={KEY}", "k=ed25519, and the key is one of k=rsa"),
        (f"k=rsa; v=DKIM1; p={KEY}", "begin with v=DKIM1"),
        (f"v=DKIM1; h=sha1; p={KEY}", "h=sha1"),
        (f"v=DKIM1; s=tls; p={KEY}", "s=tls"),
    ],
)
def test_what_verifiers_would_not_take_is_named(value: str, why: str) -> None:
    judgement = dkim([value], RSA)
    assert (judgement.state, judgement.value) == (State.WRONG, RSA)
    assert why in judgement.detail


def test_no_key_and_two_keys_are_told_apart() -> None:
    assert dkim([], ED25519).state is State.MISSING
    assert "no DKIM key" in dkim(["v=spf1 -all"], ED25519).detail
    assert dkim([ED25519, RSA], ED25519).state is State.SEVERAL
    assert "empty its p=" in dkim([RSA], "v=DKIM1; p=").detail
    assert dkim(["v=DKIM1; k=ed25519; p="], "v=DKIM1; p=").state is State.OK
    assert "tried out" in dkim([RSA.replace("k=rsa", "t=y:s")], RSA).detail


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (SPF, ""),
        ("V=SPF1 mx INCLUDE:spf.mail.example.net -ALL", ""),
        ("v=spf1 include:spf.mail.example.net ~all", "marked"),
        ("v=spf1 include:spf.mail.example.net ?all", "says nothing"),
        ("v=spf1 include:spf.mail.example.net", "says nothing"),
        ("v=spf1 include:spf.mail.example.net redirect=x.example", ""),
    ],
)
def test_an_spf_record_with_our_hosts_will_do(value: str, note: str) -> None:
    judgement = spf([value, "other"], SPF)
    assert (judgement.state, judgement.value) == (State.OK, value)
    assert note in judgement.detail


@pytest.mark.parametrize(
    ("value", "why", "merged"),
    [
        (
            "v=spf1 include:_spf.example.org ~all",
            "is not in it",
            "v=spf1 include:spf.mail.example.net include:_spf.example.org ~all",
        ),
        (
            "v=spf1 mx -all include:spf.mail.example.net",
            "behind its `all`",
            "v=spf1 include:spf.mail.example.net mx -all",
        ),
        ("v=spf1 include:spf.mail.example.net +all", "lets everybody send", SPF),
        ("v=spf1 include:spf.mail.example.net all", "lets everybody send", SPF),
        (
            SPF.replace(" -all", "".join(f" include:{n}.example" for n in range(10)) + " -all"),
            "11 of its terms ask the DNS",
            None,
        ),
    ],
)
def test_a_wrong_spf_record_comes_with_the_one_that_should_stand_there(
    value: str, why: str, merged: str | None
) -> None:
    judgement = spf([value], SPF)
    assert judgement.state is State.WRONG
    assert why in judgement.detail
    assert judgement.value == (merged or value)


def test_two_spf_records_are_merged() -> None:
    judgement = spf(["v=spf1 include:_spf.example.org ~all", SPF], SPF)
    assert judgement.state is State.SEVERAL
    assert judgement.value == "v=spf1 include:spf.mail.example.net include:_spf.example.org ~all"


def test_what_does_not_begin_as_spf_does_is_no_spf_record() -> None:
    assert spf(["v=spf10 -all"], SPF).state is State.WRONG
    assert spf([f'"{SPF}"'], SPF).state is State.WRONG
    assert spf(["hello"], SPF).state is State.MISSING


@pytest.mark.parametrize(
    ("values", "state", "why"),
    [
        ([], State.MISSING, "no DMARC record"),
        (["v=DMARC1; p=reject"], State.OK, ""),
        (["v=DMARC1; p=none; rua=mailto:d@example.com"], State.OK, "only watches"),
        (["v=DMARC1; p=reject; adkim=s; aspf=s"], State.OK, "adkim=s is strict"),
        (["v=DMARC1; p=reject; aspf=s"], State.OK, "aspf=s is strict"),
        (["v=dmarc1; p=none"], State.WRONG, "capitals"),
        (["v=DMARC1; rua=mailto:d@example.com"], State.WRONG, "no p="),
        (["v=DMARC1; p=block"], State.WRONG, "p=block is no policy"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], State.SEVERAL, "2 DMARC records"),
    ],
)
def test_a_dmarc_record_is_read_as_receivers_do(values: list[str], state: State, why: str) -> None:
    judgement = dmarc(values, DMARC)
    assert judgement.state is state
    assert why in judgement.detail


@pytest.mark.parametrize(
    ("values", "state", "why"),
    [
        (["10 In.mail.example.net."], State.OK, ""),
        ([], State.MISSING, "no MX"),
        (["0 "], State.WRONG, "nobody"),
        (["10 mx.example.org"], State.WRONG, "mx.example.org instead of in.mail"),
        (["10 in.mail.example.net", "20 mx.example.org"], State.WRONG, "mx.example.org too"),
    ],
)
def test_mail_to_the_return_path_must_come_to_us_alone(
    values: list[str], state: State, why: str
) -> None:
    judgement = exchanger(values, "10 in.mail.example.net")
    assert judgement.state is state
    assert why in judgement.detail
