"""What one mail costs to write: composing 10 KB in two parts, signing it with both keys, with RSA-2048 alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from app.mail.address import parse_mailbox
from app.mail.dkim import Algorithm, SigningKey, generate_pem, load_key, sign
from app.mail.mime.compose import compose
from app.mail.mime.content import Content
from bench.figures import Figures, Size
from bench.load import BODY_BYTES

_TIMES = 500
_LINE = "Thank you for your order. It has left our warehouse and will be with you soon.\n"


def _microseconds(step: Callable[[], bytes]) -> float:
    began_at = time.process_time()
    for _ in range(_TIMES):
        step()
    return (time.process_time() - began_at) / _TIMES * 1e6


def _content() -> Content:
    text = (_LINE * (BODY_BYTES // len(_LINE)))[: BODY_BYTES // 2]
    return Content(
        sender=parse_mailbox("Shop <orders@example.com>"),
        to=(parse_mailbox("customer@example.org"),),
        cc=(),
        reply_to=(),
        subject="Your order is on its way",
        text=text,
        html=f"<p>{text}</p>",
        attachments=(),
        headers=(),
        date=datetime.now(UTC),
        message_id="0123456789@example.com",
    )


def measure(size: Size, directory: Path) -> Figures:
    """Measure in processor time, so that what else runs here matters little."""
    del size, directory
    content = _content()
    rsa, ed25519 = (
        load_key(generate_pem(algorithm), "example.com", f"bench-{algorithm.name.lower()}")
        for algorithm in (Algorithm.RSA, Algorithm.ED25519)
    )
    mail = compose(content, "seed")
    return {
        "compose_us": _microseconds(lambda: compose(content, "seed")),
        "sign_us": _microseconds(lambda: sign(mail, [rsa, ed25519], content.date)),
        "sign_rsa_us": _microseconds(lambda: sign(mail, [rsa], content.date)),
        "rsa_us": _microseconds(lambda: _rsa(rsa)),
    }


def _rsa(key: SigningKey) -> bytes:
    """Do what no code of ours could save: the operation on a head of the usual size."""
    assert isinstance(key.secret, RSAPrivateKey)
    return key.secret.sign(bytes(700), PKCS1v15(), SHA256())
