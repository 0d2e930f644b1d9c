"""Names below which strangers register their own: the well-known ones, so that the mistake is told at once.

The whole list is longer and changes daily. Whoever claims a name that is missing here cannot prove it: only a
registry can publish records at its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_USUAL = "ac co com edu gov mil net org"

_BELOW: Mapping[str, str] = MappingProxyType(
    {
        "ae": f"{_USUAL} sch",
        "ar": f"{_USUAL} gob int tur",
        "at": "ac co gv or",
        "au": f"{_USUAL} asn id",
        "br": f"{_USUAL} adv art blog eco ind inf jus leg med tv",
        "cn": _USUAL,
        "co": f"{_USUAL} nom",
        "es": "com edu gob nom org",
        "fr": "asso com gouv nom prd tm",
        "gr": _USUAL,
        "hk": f"{_USUAL} idv",
        "hu": "co info org",
        "id": f"{_USUAL} biz desa go my or sch web",
        "il": f"{_USUAL} idf k12 muni",
        "in": f"{_USUAL} firm gen ind nic res",
        "it": "edu gov",
        "jp": f"{_USUAL} ad ed go gr lg ne or",
        "ke": f"{_USUAL} go info me ne or sc",
        "kr": f"{_USUAL} es go hs kg ms ne or pe re sc",
        "mx": f"{_USUAL} gob",
        "my": f"{_USUAL} name",
        "nz": f"{_USUAL} cri geek gen govt health iwi kiwi maori school",
        "pe": f"{_USUAL} gob nom",
        "ph": f"{_USUAL} ngo",
        "pl": f"{_USUAL} biz info waw",
        "pt": f"{_USUAL} int nome publ",
        "ro": "com firm info nom org rec store www",
        "sa": f"{_USUAL} med pub sch",
        "sg": f"{_USUAL} per",
        "th": f"{_USUAL} go in mi or",
        "tr": f"{_USUAL} av bbs bel biz dr gen info k12 kep name pol tel tv web",
        "tw": f"{_USUAL} club ebiz game idv",
        "ua": f"{_USUAL} in",
        "uk": "ac co gov ltd me mod net nhs org plc police sch",
        "vn": f"{_USUAL} biz info name pro",
        "za": f"{_USUAL} law nom school web",
    }
)
_RENTED = frozenset(
    {
        "appspot.com", "azurewebsites.net", "blogspot.com", "cloudfront.net", "firebaseapp.com",
        "fly.dev", "github.io", "gitlab.io", "herokuapp.com", "myshopify.com", "netlify.app", "onmicrosoft.com",
        "onrender.com", "pages.dev", "vercel.app", "web.app", "workers.dev",
    }
)  # fmt: skip


def is_public_suffix(name: str) -> bool:
    """Tell whether strangers register names right below this one, as far as is known here."""
    first, _, rest = name.partition(".")
    return name in _RENTED or first in _BELOW.get(rest, "").split()
