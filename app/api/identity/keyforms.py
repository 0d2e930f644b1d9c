"""What clients send about DKIM keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.api.fields import WireModel

SELECTOR_PATTERN = (
    r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$"
)
"""What a selector looks like (RFC 6376 §3.1)."""
_MAX_PEM = 16_000


class KeyRequest(WireModel):
    """A DKIM key that you have already, and whose record may be published already."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "selector": "2024",
                    "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n",
                }
            ]
        }
    )

    selector: Annotated[str, Field(max_length=60, pattern=SELECTOR_PATTERN)] = Field(
        description="Where its record stands: at `<selector>._domainkey.<domain>`."
    )
    private_key: Annotated[SecretStr, Field(min_length=1, max_length=_MAX_PEM)] = Field(
        description="An unencrypted private key in PEM form (PKCS#1 or PKCS#8): RSA of 2048 to 4096 bits, "
        "or Ed25519. It is never shown again."
    )


class RevokeQuery(BaseModel):
    """How a key is revoked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    force: bool = Field(
        default=False, description="Revoke it even if no other key signs for the domain."
    )
