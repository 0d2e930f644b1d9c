"""Remarks on what was found of the way: DMARC, and the domains of the recipients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.rehearsal.alignment import Alignment
from app.rehearsal.prospects import Obstacle, Way
from app.rehearsal.remarks import Code, Remark

_CODES: Mapping[Obstacle, Code] = {
    Obstacle.UNKNOWN: Code.DOMAIN_UNKNOWN,
    Obstacle.TAKES_NO_MAIL: Code.DOMAIN_TAKES_NO_MAIL,
    Obstacle.UNREACHABLE: Code.DOMAIN_UNREACHABLE,
    Obstacle.DNS: Code.NOT_LOOKED_UP,
}
_REMEDIES: Mapping[Obstacle, str] = {
    Obstacle.UNKNOWN: "look for a typing error",
    Obstacle.TAKES_NO_MAIL: "look for another address",
    Obstacle.UNREACHABLE: "tell whoever runs that domain",
    Obstacle.DNS: "try again",
}
_MOST_NAMED = 5


def alignment_remarks(alignment: Alignment, place: str) -> Iterator[Remark]:
    """Yield what is to be said of the domains that the mail speaks for; `place` names the sender."""
    author = alignment.author
    if not alignment.signers:
        detail = (
            f"there is no DKIM key for {author}, and large receivers want a signature: make one"
        )
        yield Remark(Code.NOT_SIGNED, place, detail)
    if not alignment.by_dkim and not alignment.by_spf:
        detail = (
            f"neither a signature nor the return path ({alignment.return_path}) is aligned with {author}, so that "
            f"DMARC fails: sign with a key of {author}"
        )
        yield Remark(Code.NOT_ALIGNED, place, detail)
    if not alignment.is_known:
        yield _unknown(place, f"the DMARC record of {author}")
    elif alignment.dmarc is None:
        detail = (
            f"{author} has no DMARC record that receivers take, which large ones want: "
            f"publish v=DMARC1; p=none at _dmarc.{author}"
        )
        yield Remark(Code.NO_DMARC, place, detail)


def way_remarks(places: Mapping[str, str], ways: Mapping[str, Way]) -> Iterator[Remark]:
    """Yield what is to be said of the domains of recipients, at their `places` in the request."""
    for domain, way in ways.items():
        if remark := _on_way(way, places[domain]):
            yield remark
    missing = [domain for domain in places if domain not in ways]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        what = f"the way to {', '.join(missing[:_MOST_NAMED])}{more}"
        yield _unknown(places[missing[0]], what)


def _on_way(way: Way, place: str) -> Remark | None:
    if trouble := way.trouble:
        detail = f"{trouble.text}: {_REMEDIES[trouble.obstacle]}"
        return Remark(_CODES[trouble.obstacle], place, detail)
    barred = [each.barred for each in way.exchanges if each.barred]
    if len(barred) < len(way.exchanges):
        return None
    detail = f"no host of {way.domain} is safe enough ({barred[0]}): tell whoever runs it, or change `tls`"
    return Remark(Code.DOMAIN_NOT_SAFE, place, detail)


def _unknown(place: str, what: str) -> Remark:
    detail = f"{what} was not looked up in time: try again, and look whether a worker runs"
    return Remark(Code.NOT_LOOKED_UP, place, detail)
