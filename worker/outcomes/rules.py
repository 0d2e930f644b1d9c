"""The table behind `classify`: which codes and which words mean what kind of trouble.

What is more specific comes first, and the first match wins:

1. words that overrule any code, as receivers like to call a distrusted sender an unknown user;
2. enhanced codes that say one thing only (RFC 3463);
3. words that speak where the enhanced code is vague or missing;
4. the subject of an enhanced code;
5. words that only hint;
6. the basic code.

Phrases are read by `phrases.any_of`. Only `recipient` ever suppresses an address, so a phrase belongs
there only if it can mean nothing else.

A limit on mail, connections or recipients is `policy`: sending more slowly is all it takes. Where the
receiver says that the limit comes from mistrust (complaints, unsolicited mail, a bad name), it is
`reputation`, as slowness alone will not help.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.events import Category
from worker.outcomes.phrases import any_of

Words = tuple[tuple[Category, re.Pattern[str]], ...]
"""Kinds of trouble with the phrases that tell them, in the order they are looked for."""


def _span(first: int, last: int, category: Category) -> dict[str, Category]:
    """Give all details from first to last of the subject security and policy one meaning."""
    return dict.fromkeys((f"7.{detail}" for detail in range(first, last + 1)), category)


OVERRULING: Words = (
    (
        # Not this mail, not this recipient: the first try of a stranger, or a domain not served here.
        Category.POLICY,
        any_of(
            "greylist*", "graylist*", "grey list*", "gray list*", "postgrey*", "gl01", "sender verify",
            "sender verification", "sender callout", "callout verification", "receiving mail at a rate",
            "receiving mail too quickly", "receive limit", "relaying denied", "relay not permitted",
            "relaying not permitted", "relaying disallowed", "relaying * not allowed",
            "relaying * prohibited", "relaying is denied", "unable to relay", "configured to relay",
            "not relay", "allowed rcpthosts", "relay not allowed", "no relay*", "relay * denied",
            "frequency limited",
        ),
    ),
    (
        Category.CONTENT,
        any_of(
            "duplicate header*", "multiple * headers", "missing * header*", "malformed * header*",
            "invalid * header*", "5322 compliant", "rfc5322 compliant", "multiple addresses in from",
        ),
    ),
    (
        Category.REPUTATION,
        any_of(
            # Lists and those who keep them
            "*spamhaus*", "*spamcop*", "*barracudacentral*", "*sorbs.net", "*senderscore*", "*uceprotect*",
            "*abusix*", "*mailspike*", "*spamrats*", "*gbudb*", "*manitu.net", "*invaluement*", "*surbl*",
            "*dnsbl*", "*rhsbl*", "rbl*", "*rbl", "psbl*", "*.psbl.*", "cbl", "xbl", "sbl", "csi.*",
            "*cloudmark.com*", "ipcheck.proofpoint.com", "blocklist*", "block list*", "blocked list",
            "blacklist*", "black list*", "denylist*", "deny list*", "is listed", "are listed",
            "currently listed", "listed at", "listed by", "listed on", "blocked sender*",
            # Mistrust in so many words
            "*reputation*", "unsolicited*", "unusual rate", "unusual * volume", "unexpected volume",
            "user complaints", "spam complaints", "complaint rate", "number of complaints",
            "complaints about", "poor sender", "spammer*", "spam source*", "source of spam", "spam host",
            "spam site", "spam network", "known spam", "spamming", "spam incident*", "suspicious activity",
            "permanently deferred", "mail abuse", "abusive",
            # An address or a host that may not send
            "ip * is blocked", "ip * been blocked", "ip blocked", "ip address * blocked", "ips * blocked",
            "ip * is banned", "ip * been banned", "ip * is rejected", "address * is blocked", "blocked ip",
            "blocked using", "blocked by using", "banned sending ip", "banned sender", "banned ip",
            "client host * blocked", "server * is blocked", "host * blocked by", "network * not allowed",
            "dynamic ip*", "dynamic address*", "dynamic host*", "dialup*", "dial up", "residential",
            "compromised", "open proxy", "open relay", "ip * problem occurred", "be mail exchanger",
            "ip not allowed", "connections will not be accepted",
            # Codes of receivers' own
            "rp 001", "rp 002", "rp 003", "sc 001", "sc 002", "sc 003", "sc 004", "dy 001", "dy 002",
            "ou 001", "ou 002", "tss*", "ts01", "ts02", "ts03", "ipts*", "bl0000*", "bl21", "bl23",
            "cdrbl*", "rp trc",
        ),
    ),
    (
        Category.AUTHENTICATION,
        any_of(
            "spf*", "dkim*", "dmarc*", "sender policy framework", "arc", "sender id", "senderid",
            "purported responsible", "unauthenticated*", "authentication information",
            "pass authentication*", "authentication level", "authentication check*",
            "authentication policy", "spoof*", "*antispoof*", "allowed to send from", "aligned",
            "alignment", "mismatches client", "sender is forged", "forged sender", "reverse dns*", "rdns*",
            "fcrdns", "ptr*", "reverse lookup", "reverse name", "reverse mapping", "reverse hostname",
            "reverse host name", "reverse record", "no reverse", "hostname lookup failed",
            "find your hostname", "find your reverse", "name lookup failed", "bad helo", "invalid helo",
            "helo name", "ehlo name", "helo * rejected", "helo host*", "helo * invalid", "forged helo",
            "helo * resolve*", "dns mx or a*", "invalid dns",
        ),
    ),
    (Category.PROTOCOL, any_of("sent over a tls connection", "sent over tls", "without tls")),
    (
        Category.POLICY,
        any_of(
            # Limits
            "too many * recipients", "too many * connections", "too many sessions", "too many messages",
            "too many mails", "too many emails", "too much mail from", "too many * errors",
            "too many * users", "recipient count", "recipients exceeded", "rate limit*", "ratelimit*",
            "rate * exceeded", "exceeded * rate", "sending rate*", "throttl*", "sending quota",
            "sending limit*", "send limit*", "hourly limit", "daily limit", "limit * per hour",
            "limit * per day", "connection limit*", "concurrent", "slow down", "rl0000*", "service refused",
            # Senders
            "sender * rejected", "sender * denied", "sender domain", "sender not", "sender address",
            "envelope sender", "from address", "return path", "mail from * rejected", "mail from * refused",
            "mail from * denied", "mailfrom*", "from domain", "null sender", "your account",
            "accept mail from", "accept mails from", "accept email from", "accept messages from",
            "accept connections from", "bounce messages", "recipient preferences",
            # Rules
            "unverified address", "verification in progress", "due to policy", "policy reason*",
            "policy restriction*", "policy rejection", "policy violation", "local policy",
            "security polic*", "by policy", "polic* does not allow", "administrative prohibition",
        ),
    ),
    (
        Category.MAILBOX_FULL,
        any_of(
            "mailbox * is full", "mailbox * full", "inbox full", "inbox is full", "account is full",
            "mailfolder * full", "box is full", "over quota", "overquota*", "quota * exceed*",
            "exceed* * quota", "*quotaexceed*", "above quota", "out of quota", "quota full",
            "storage quota", "disk quota", "out of storage", "over * storage", "storage limit",
            "storage allocation", "storage exceeded", "insufficient * storage", "insufficient disk*",
            "insufficient space", "not enough * space", "no space", "disk full", "disk is full",
            "out of disk*", "too much mail data", "mailbox * size limit", "mailbox size exceeded",
            "boite * pleine",
        ),
    ),
    (
        Category.CONTENT,
        any_of(
            "virus*", "malware*", "phish*", "trojan*", "infected", "as spam", "is spam", "be spam",
            "like spam", "spam message", "suspicion of spam", "spam content", "spam detected", "spam score",
            "spam rejected", "spam mail", "banned content", "banned file*", "illegal attachment",
            "blocked attachment", "attachment * blocked", "attachment * not allowed", "bare lf",
            "bare newline*", "bare line feed*",
        ),
    ),
)  # fmt: skip
"""Phrases that count more than any code."""

CERTAIN: Mapping[str, Category] = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.4", "1.6", "1.10", "2.1"), Category.RECIPIENT),
    **dict.fromkeys(("7.17", "7.18", "7.504"), Category.RECIPIENT),
    **dict.fromkeys(("2.2", "3.1"), Category.MAILBOX_FULL),
    **dict.fromkeys(("1.7", "1.8", "1.9", "1.90", "2.121", "2.122", "5.3"), Category.POLICY),
    **dict.fromkeys(("2.3", "3.4", "7.512"), Category.CONTENT),
    **dict.fromkeys(("4.6", "4.14", "4.312", "4.316"), Category.NETWORK),
    **dict.fromkeys(("3.3", "6.7", "6.8", "6.9", "6.10", "7.4", "7.10", "7.29"), Category.PROTOCOL),
    **_span(20, 27, Category.AUTHENTICATION),
    **_span(30, 32, Category.AUTHENTICATION),
    **dict.fromkeys(("7.40", "7.506", "7.509", "7.515"), Category.AUTHENTICATION),
    **dict.fromkeys(("7.28", "7.501", "7.502", "7.503", "7.511", "7.708"), Category.REPUTATION),
    **_span(606, 651, Category.REPUTATION),
}
"""Enhanced codes without their class (`5.1.1` is `1.1`) that say one thing only.

Those of RFC 3463, 5248, 6531, 6710, 7293, 7372 and 7505, and those that single receivers made:
Google from 7.27 to 7.40, Microsoft wherever the detail has three digits, 1.10 and 1.90.
"""

TELLING: Words = (
    (
        Category.RECIPIENT,
        any_of(
            # Nobody of that name
            "user unknown", "unknown user*", "unknown recipient", "recipient unknown", "unknown local*",
            "unknown mailbox", "unknown account", "mailbox unknown", "account unknown", "no such user*",
            "no such recipient", "no such mailbox", "no such address", "no such person", "no such account",
            "no such local user", "no such email*", "no user", "no mailbox", "mailbox not found",
            "user not found", "recipient not found", "account not found", "address not found",
            "mailbox unavailable", "mailbox not available", "mailbox * is unavailable",
            "mailbox does not exist", "mailbox doesnt exist", "mailbox not exist*", "user not exist*",
            "user dont exist", "user * does not exist", "user * doesnt exist", "account * does not exist",
            "address doesnt exist", "address * does not exist", "recipient * does not exist",
            "recipient * doesnt exist", "doesnt have a* account", "doesnt have a* *.* account",
            "does not have an account", "has no account", "resolver.adr*", "not listed in domino*",
            "not listed in * directory", "not listed in * name", "invalid recipient*", "invalid mailbox",
            "invalid user", "illegal user*", "illegal alias*", "not a valid recipient",
            "not a valid mailbox", "not a valid user", "not a known user", "not a registered user",
            "not our customer", "not our user", "unrouteable address", "unroutable address",
            "undeliverable address", "rejected undeliverable", "recipient is invalid", "mailbox name",
            "bad destination", "destinataire * invalide", "badrcptto*", "benutzer unbekannt",
            "utilisateur inconnu", "usuario desconocido", "utente sconosciuto", "delivery error dd",
            # Gone, or switched off
            "account that you tried to reach", "recipient address rejected access denied",
            "recipient addresses rejected access denied", "account * disabled", "mailbox * disabled",
            "user * disabled", "disabled recipient", "recipient * disabled", "disabled mailbox",
            "disabled user", "account * deactivated", "account * inactive", "mailbox * inactive",
            "user * inactive", "inactive user", "inactive * address", "inactive mailbox",
            "account * suspended", "user * suspended", "mailbox * suspended", "recipient * suspended",
            "account * closed", "mailbox * closed", "account * terminated", "user * terminated",
            "account * deleted", "mailbox * deleted", "account * expired", "mailbox * expired",
            "mailbox * frozen", "recipient account is blocked", "account * discontinued",
            "address * discontinued", "mailbox * no longer", "user * no longer", "recipient * no longer",
            "address * no longer", "account * no longer", "no longer employed", "no longer with",
            "user has moved", "recipient has moved", "mailbox has moved", "domain does not accept mail",
            "null mx",
        ),
    ),
    (
        Category.NETWORK,
        any_of(
            "too many hops", "hop count", "mail loop*", "routing loop", "loop detected", "loops back",
            "dns query failed", "no route", "connection timed out", "connection refused",
        ),
    ),
    (
        Category.PROTOCOL,
        any_of(
            "syntax error", "unrecognized command", "command unrecognized", "unknown command",
            "command not recognized", "command * not implemented", "not implemented", "bad sequence",
            "improper sequence", "out of sequence", "synchronization error", "pipelining",
            "protocol violation", "protocol error", "starttls", "tls required", "tls is required",
            "requires tls", "require tls", "use tls", "encryption * required", "tls connection",
            "encrypted connection*", "smtputf8", "8bitmime", "valid recipients", "need mail", "need rcpt",
        ),
    ),
    (
        Category.CONTENT,
        any_of(
            "spam*", "uce", "ube", "junk", "bulk mail", "message content", "content * rejected",
            "content restriction*", "content filter*", "content polic*", "content denied",
            "content examination", "its content", "mail content", "attachment*", "executable", "header*",
            "message filtered", "suspicious", "bad url*", "blocked url*", "malicious", "suspicious link*",
            "subject line", "message size", "message * too large", "message * too big", "message is larger",
            "message * exceeds", "mail size", "too large", "too big", "too long", "size limit",
            "size exceed*", "exceed* * size", "fixed limit", "exceed* size*", "length exceeds",
            "exceed* mailsize", "line length", "rfc 5322", "rfc5322", "rfc 2822", "rfc2822", "mime",
            "non ascii", "8 bit", "resolver.rst.recipsizelimit",
        ),
    ),
    (
        Category.POLICY,
        any_of(
            "too many", "not permitted", "not allowed", "not authorized", "not authorised", "unauthorized",
            "whitelist*", "authentication * required", "not authenticated", "smtp authentication",
            "smtp auth", "must authenticate", "authenticate first", "resolver.rst*", "prohibited",
            "restricted", "restriction*", "denied", "banned", "blocked", "policy", "policies",
            "client host rejected", "rejected by", "relay*", "limit exceeded", "limits exceeded",
            "transport rule*", "first contact", "not yet accepted",
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

HINTING: Words = (
    (
        Category.NETWORK,
        any_of(
            "local problem", "local error", "internal * error", "system error", "system problem",
            "lookup failure", "lookup failed", "temporar* unavailable", "service * unavailable",
            "service not available", "server busy", "too busy", "overload*", "load * too high",
            "shutting down", "timed out", "timeout", "resources", "maintenance",
            "not accepting connections", "unable to connect", "could not connect", "dns error",
            "upstream error", "write error", "disk error", "technical", "temporary failure", "host unknown",
            "domain * not reachable",
        ),
    ),
)  # fmt: skip
"""Phrases that are said for many reasons: they count where there is no enhanced code at all."""

CODES: Mapping[int, Category] = {
    421: Category.NETWORK,
    452: Category.MAILBOX_FULL,
    521: Category.POLICY,
    551: Category.RECIPIENT,
    552: Category.CONTENT,
    # RFC 5321 §4.2.3 calls a mailbox name not allowed 553; the field says it to senders as well.
    553: Category.POLICY,
    556: Category.RECIPIENT,
    **dict.fromkeys(range(500, 505), Category.PROTOCOL),
    555: Category.PROTOCOL,
}
"""Basic codes where there is neither an enhanced code nor a known word (RFC 5321 §4.2.3, RFC 7504)."""

SIZE = any_of("*size*", "large", "larger", "too big", "exceed*", "too long")
FORESEEN = ("2.3", "3.4", "6.")
"""What of a message a receiver can object to before it has seen it: phrases, and enhanced codes."""
