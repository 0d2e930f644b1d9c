"""The table behind `classify`: which codes and which words mean what kind of trouble.

First match wins, in this order: words that overrule a code (receivers call a distrusted sender an
unknown user), enhanced codes that say one thing only (RFC 3463), words, vague enhanced codes, and the
basic code. All phrases are matched in lower case. Only `recipient` ever suppresses an address, so a
phrase belongs there only if it can mean nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.events import Category

Words = tuple[tuple[Category, re.Pattern[str]], ...]
"""Kinds of trouble with the phrases that tell them, in the order they are looked for."""


def _any_of(*phrases: str) -> re.Pattern[str]:
    """Match any of the phrases where a word starts; `*` stands for a few further words."""
    patterns = (
        re.escape(phrase).replace(r"\*", r"\W+(?:[\w.@<>:/-]+\W+){0,4}?") for phrase in phrases
    )
    return re.compile(r"(?<![a-z0-9])(?:" + "|".join(patterns) + ")")


OVERRULING: Words = (
    (
        Category.REPUTATION,
        _any_of(
            "spamhaus", "spamcop", "barracudacentral", "sorbs", "senderscore", "uceprotect", "abusix",
            "proofpoint.com/dnsbl", "blocklist", "block list", "blacklist", "black list", "denylist",
            "dnsbl", "rbl", "reputation", "banned sending ip", "likely unsolicited", "listed at",
            "unusual rate of", "ip * is blocked", "ip address * blocked", "poor sender",
        ),
    ),
    (
        Category.AUTHENTICATION,
        _any_of(
            "spf", "dkim", "dmarc", "sender policy framework", "unauthenticated email", "not authenticated",
            "does not pass authentication", "reverse dns", "rdns", "ptr record", "no ptr",
            "cannot find your hostname", "cannot find your reverse hostname",
        ),
    ),
)  # fmt: skip
"""Phrases that count more than any code."""

CERTAIN: Mapping[str, Category] = {
    "1.0": Category.RECIPIENT,
    "1.1": Category.RECIPIENT,
    "1.2": Category.RECIPIENT,
    "1.3": Category.RECIPIENT,
    "1.4": Category.RECIPIENT,
    "1.6": Category.RECIPIENT,
    "1.10": Category.RECIPIENT,
    "1.7": Category.POLICY,
    "1.8": Category.POLICY,
    "2.1": Category.RECIPIENT,
    "2.2": Category.MAILBOX_FULL,
    "2.3": Category.CONTENT,
    "3.1": Category.MAILBOX_FULL,
    "3.4": Category.CONTENT,
    "4.6": Category.NETWORK,
    "7.17": Category.RECIPIENT,
    "7.18": Category.RECIPIENT,
    **dict.fromkeys((f"7.{detail}" for detail in range(20, 28)), Category.AUTHENTICATION),
    "7.28": Category.REPUTATION,
    "7.29": Category.AUTHENTICATION,
}
"""Enhanced codes without their class (`5.1.1` is `1.1`) that say one thing only (RFC 3463, 5248, 7372, 7505)."""

TELLING: Words = (
    (
        Category.MAILBOX_FULL,
        _any_of(
            "mailbox full", "mailbox is full", "mailbox * full", "quota exceeded", "over quota", "overquota",
            "exceeded * quota", "out of storage", "insufficient system storage", "insufficient disk",
            "not enough space", "storage limit", "too much mail data",
        ),
    ),
    (
        Category.RECIPIENT,
        _any_of(
            "user unknown", "unknown user", "unknown recipient", "recipient unknown", "unknown local",
            "no such user", "no such recipient", "no such mailbox", "no such address", "no such person",
            "no mailbox here", "mailbox not found", "mailbox unavailable", "mailbox does not exist",
            "user not found", "recipient not found", "address not found", "user doesn't exist",
            "user does not exist", "account that you tried to reach", "does not have an account",
            "user doesn't have a", "invalid recipient", "invalid mailbox", "recipient address rejected: access",
            "recipient address rejected: undeliverable", "address does not exist", "account * disabled",
            "mailbox is disabled", "mailbox disabled", "account * inactive", "mailbox * inactive",
            "user is suspended", "account * suspended", "not our customer", "undeliverable address",
            "domain does not accept mail", "no longer available", "user disabled",
        ),
    ),
    (
        Category.POLICY,
        _any_of(
            "greylist", "graylist", "grey list", "too many", "rate limit", "throttl",
            "exceeded the rate", "sender address rejected", "relay", "access denied", "not permitted",
        ),
    ),
    (
        Category.CONTENT,
        _any_of(
            "spam", "virus", "malware", "phish", "message content", "content rejected", "bulk mail",
            "attachment", "executable", "header", "message size", "message too large", "message too big",
            "too large", "bare lf", "bare line feed", "bare newline", "line too long", "rfc 5322",
            "rfc5322", "rfc 2822",
        ),
    ),
)  # fmt: skip
"""Phrases that speak where the enhanced code is vague or missing."""

SUBJECTS: Mapping[str, Category] = {
    "1": Category.RECIPIENT,
    "2": Category.POLICY,
    "3": Category.NETWORK,
    "4": Category.NETWORK,
    "5": Category.PROTOCOL,
    "6": Category.CONTENT,
    "7": Category.POLICY,
}
"""The subject of an enhanced code (its middle number), where its detail is vague."""

CODES: Mapping[int, Category] = {
    421: Category.NETWORK,
    452: Category.MAILBOX_FULL,
    521: Category.POLICY,
    551: Category.RECIPIENT,
    552: Category.CONTENT,
    553: Category.RECIPIENT,
    556: Category.RECIPIENT,
    **dict.fromkeys(range(500, 505), Category.PROTOCOL),
    555: Category.PROTOCOL,
}
"""Basic codes where there is neither an enhanced code nor a known word (RFC 5321 §4.2.3, RFC 7504)."""
