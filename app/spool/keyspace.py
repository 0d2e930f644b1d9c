"""Every key that Redis holds, with its type, its content and when it goes away.

key (after the prefix)      type   holds                                                      goes away
--------------------------- ------ ---------------------------------------------------------- -------------------
message:<message>           hash   `m` message, `raw` bytes or `raw<i>` of each recipient,    retention after the
                                   counters `open`, `seq`, `tries`, `r<i>` recipient states,  last outcome; bytes
                                   `t<i>` addresses in normal form, where lists of suppressed with their outcome
                                   ones hold, `e<n>` events, `a<n>` tries, the parts that
                                   are `shared`, `single` where recipients of the same bytes
                                   are claimed one by one
shared:<project>:<digest>   hash   `octets` of a part that several messages have, and each    with the last of
                                   of these by its id                                         them
idempotency:<project>:<key> hash   fingerprint of the payload, and the receipt                its own retention
due:<lane>                  zset   `<message>/<i>`, in lanes of reports `<message>/late`, the when empty
                                   first event told, or `tls/<day>/<domain>`; by due time, ms
lane:<lane>                 hash   reserved drains and until when, `not_before`, `failures`,  when nothing is due
                                   the site that invited it
drains:<lane>               set    the drains that work on it                                 when empty
parcels:<lane>              hash   `<message>/<n>` -> sequence, tries and event; with the     when settled
                                   event's id for <n>, and 0, where its message is gone
report:<member>             hash   `m` message, `head` its header (`head<i>` that of a copy   when reported, or
                                   for one recipient), `r<i>` states to report;
                                   for `tls/<day>/<domain>`: handshakes -> how often          after three days
drain:<drain>               hash   its lane, turn, members claimed, members in `doubt`; its   with its lease
                                   site, the turn it `entered` there, whether it is `rated`
site:<site>                 hash   window, first, most, cohorts, rest, dead_until, interval,  a day after use
                                   used_until, and the turns of each project
slots:<site>                zset   drains that hold a place, lanes invited to one             entry by entry
waiting:<site>              zset   lanes that wait for a place, in their order                entry by entry
sites                       zset   sites that lanes wait for, by the clock's next look, ms    when none waits
rests:<site>                zset   sources that rest there, by the end of their rest, ms      with the last of them
sent:<site>:<day>           hash   source in warm-up -> recipients it was given there         two days after use
leases                      zset   drains by the end of their lease, ms                       entry by entry
lanes                       zset   lanes by the time they want a drain, ms                    entry by entry
expiries                    zset   open messages by the end of their time, ms                 entry by entry
clock                       hash   the `last` tick, and until when leases have `patience`, ms never
endpoints:<project>         hash   endpoint -> the event types it wants, or `*`               with the endpoint
dropped:<project>           hash   endpoint -> events not queued since it was full            with the endpoint
endpoint:<project>          hash   endpoint -> its record                                     with the endpoint
templates:<project>         hash   template -> created, updated (ms), current version, last   with the template
template:<project>:<name>   hash   version -> its record                                      with the template
suppressions:<list>         hash   normal form of an address -> why and since when it is      with the entry
                                   suppressed; <list> is `<project>:<stream>`
suppressed:<list>           zset   the same addresses in their order, all with score 0        entry by entry
dkim:<project>:<domain>     hash   `k:<selector>` a key without its secret, `s:<selector>`     with the last key
                                   that, encrypted; and the `version` of all
dkim_domains                zset   `<project>:<domain>` by when its newest key that signs     with the last key
                                   was made, ms; `inf` while there is nothing to rotate
dkim_looks                  zset   `<project>:<domain>` whose new keys wait for their         when they sign
                                   records, by the next look for those, ms
keyring                     hash   `version`, which grows with each change of any key; the    never
                                   `canary`, which only the secret of the installation opens
sts:<domain>                hash   an MTA-STS `policy`, and when it was last `used`, ms       when it expires
sts_due                     zset   domains by the next refresh of their policy, ms            entry by entry
domains:<project>           hash   domain -> its record                                      with the domain
domain_checks               zset   `<project>/<domain>` by the next check of its records, ms  with the domain
inquiry:<inquiry>           string what a worker answers to a question of the API             after a minute
key:<key>                   string an API key's record: hash of the secret, scopes            when revoked
queue, arq:*                       arq's own; losing all of it loses no mail                  seconds
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The beginnings of all keys of one installation; an id or a lane's name completes most."""

    message: str
    shared: str
    idempotency: str
    due: str
    lane: str
    drains: str
    parcels: str
    report: str
    drain: str
    site: str
    slots: str
    waiting: str
    sites: str
    rests: str
    sent: str
    leases: str
    lanes: str
    expiries: str
    clock: str
    endpoints: str
    dropped: str
    endpoint: str
    templates: str
    template: str
    suppressions: str
    suppressed: str
    dkim: str
    dkim_domains: str
    dkim_looks: str
    keyring: str
    sts: str
    sts_due: str
    domains: str
    domain_checks: str
    inquiry: str
    key: str
    queue: str

    @classmethod
    def of(cls, prefix: str) -> Keyspace:
        """Return the keys of the installation that is called `prefix`."""
        single = {
            "sites",
            "leases",
            "lanes",
            "expiries",
            "dkim_domains",
            "dkim_looks",
            "keyring",
            "sts_due",
            "domain_checks",
            "clock",
            "queue",
        }
        names = [field.name for field in fields(cls)]
        return cls(**{name: f"{prefix}:{name}{'' if name in single else ':'}" for name in names})

    def as_lua(self) -> str:
        """Return a Lua table `K` of the same names, so that scripts and Python never disagree."""
        pairs = ", ".join(f"{field.name} = '{getattr(self, field.name)}'" for field in fields(self))
        return f"local K = {{ {pairs} }}"
