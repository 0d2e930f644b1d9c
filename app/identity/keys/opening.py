"""How processes open the key store: by their settings, and only with the secret that its keys are encrypted
with."""

from __future__ import annotations

from app.errors import ConfigurationError, SpoolError, VaultClosed
from app.identity.keys.keystore import KeyStore
from app.identity.keys.vault import PURPOSE, Vault
from app.settings import Settings
from app.spool.client import Redis


def key_store(redis: Redis, settings: Settings) -> KeyStore:
    """Return the store. Records of former keys stay as long as mail that they signed may be under way, and then
    some."""
    kept = settings.delivery.max_expires_after + settings.dkim.overlap
    return KeyStore(redis, Vault(settings.secrets.derived(PURPOSE)), kept)


async def require_fitting_secret(store: KeyStore) -> None:
    """Raise ConfigurationError where Redis holds keys that the secret of this process does not open.

    While Redis is away nothing is said: whoever needs a key then will hear it.
    """
    try:
        await store.check_secret()
    except VaultClosed as error:
        raise ConfigurationError(error.detail) from error
    except SpoolError:
        return


async def check_secret(settings: Settings) -> None:
    """Do the same by connections of its own, before a process starts to serve. Raises ConfigurationError."""
    async with Redis.connect(settings.redis) as redis:
        await require_fitting_secret(key_store(redis, settings))
