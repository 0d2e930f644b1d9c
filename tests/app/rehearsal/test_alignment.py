"""DMARC alignment of the author's domain with signatures and return path."""

from __future__ import annotations

import pytest

from app.rehearsal.alignment import Alignment, Mode, dmarc_of, registered
from app.rehearsal.prospects import Published
from app.rehearsal.remarks import Code
from app.rehearsal.verdicts import alignment_remarks

RELAXED = Published("_dmarc.shop.example", ("v=DMARC1; p=reject",))
STRICT = Published("_dmarc.shop.example", ("x", "v=DMARC1; p=reject; adkim=s; aspf=S"))


def alignment(
    author: str, signer: str, path: str, published: Published | None = RELAXED
) -> Alignment:
    dmarc = dmarc_of(published) if published else None
    signers = (signer,) if signer else ()
    return Alignment(author, signers, path, dmarc, is_known=published is not None)


@pytest.mark.parametrize(
    ("author", "signer", "path", "published", "aligned"),
    [
        ("shop.example", "shop.example", "shop.example", RELAXED, (True, True)),
        ("shop.example", "mail.shop.example", "b.shop.example", RELAXED, (True, True)),
        ("news.shop.example", "shop.example", "b.shop.example", RELAXED, (True, True)),
        ("shop.example", "mail.shop.example", "shop.example", STRICT, (False, True)),
        ("shop.example", "shop.example", "b.shop.example", STRICT, (True, False)),
        ("shop.example", "other.example", "b.other.example", RELAXED, (False, False)),
        ("shop.example", "", "notshop.example", RELAXED, (False, False)),
        ("shop.co.uk", "other.co.uk", "b.shop.co.uk", RELAXED, (False, True)),
        ("shop.example", "mail.shop.example", "shop.example", None, (True, True)),
    ],
)
def test_alignment_is_as_the_record_wants_it(
    author: str, signer: str, path: str, published: Published | None, aligned: tuple[bool, bool]
) -> None:
    found = alignment(author, signer, path, published)
    assert (found.by_dkim, found.by_spf) == aligned


def test_the_policy_for_names_below_is_that_of_names_below() -> None:
    values = ("v=DMARC1; p=reject; sp=none",)
    own, above = dmarc_of(Published("x", values)), dmarc_of(Published("x", values, is_own=False))
    assert own
    assert above
    assert (own.policy, above.policy) == ("reject", "none")


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("v=spf1 -all",),
        ("v=DMARC1",),
        ("v=DMARC1; p=maybe",),
        ("v=DMARC1; p=none", "v=DMARC1; p=reject"),
        ("v=dmarc1; p=none",),
    ],
)
def test_a_record_that_receivers_do_not_take_is_none(values: tuple[str, ...]) -> None:
    assert dmarc_of(Published("x", values)) is None


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        ("a.b.shop.example", "shop.example"),
        ("shop.example", "shop.example"),
        ("a.shop.co.uk", "shop.co.uk"),
        ("co.uk", "co.uk"),
        ("example", "example"),
    ],
)
def test_the_registered_domain_is_below_the_suffix(domain: str, found: str) -> None:
    assert registered(domain) == found


def test_mode_is_relaxed_unless_it_is_said() -> None:
    found = dmarc_of(RELAXED)
    assert found
    assert (found.dkim, found.spf) == (Mode.RELAXED, Mode.RELAXED)


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        (alignment("shop.example", "shop.example", "b.shop.example"), []),
        (alignment("shop.example", "", "b.shop.example"), [Code.NOT_SIGNED]),
        (
            alignment("shop.example", "", "b.other.example"),
            [Code.NOT_SIGNED, Code.NOT_ALIGNED],
        ),
        (
            alignment("shop.example", "shop.example", "shop.example", Published("", ())),
            [Code.NO_DMARC],
        ),
        (alignment("shop.example", "shop.example", "shop.example", None), [Code.NOT_LOOKED_UP]),
    ],
)
def test_what_receivers_will_not_like_is_remarked_on(found: Alignment, codes: list[Code]) -> None:
    assert [each.code for each in alignment_remarks(found, "/from")] == codes
