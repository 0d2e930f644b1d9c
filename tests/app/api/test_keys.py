from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from fastapi import FastAPI
from pydantic import SecretStr

from app.errors import ConfigurationError
from app.identity.keys.keystore import KeyStore
from app.identity.keys.opening import key_store
from app.ids import ProjectId
from app.main import create_app
from app.projects.keys import Scope, create_key
from app.settings import Settings
from app.settings.rootkeys import SecretSettings, new_secret
from app.spool.client import Redis
from tests.app.api.client import MESSAGE, Client
from tests.app.api.conftest import served

KEYS = "/domains/shop.example/keys"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"secrets": SecretSettings(key=SecretStr(new_secret()))})


@pytest.fixture
async def store(redis: Redis, settings: Settings) -> KeyStore:
    """The store, with the domain `shop.example` of the project `shop`, whose first keys sign."""
    store = key_store(redis, settings)
    await store.prepare(ProjectId("shop"), "shop.example")
    made = await store.keys(ProjectId("shop"), "shop.example")
    await store.confirm(ProjectId("shop"), "shop.example", [key.selector for key in made])
    return store


@pytest.fixture
async def reader(client: Client, redis: Redis) -> Client:
    key = await create_key(redis, "shop", "reader", frozenset({Scope.READ}))
    return client.with_key(key)


def pem_of(secret: Ed25519PrivateKey) -> str:
    return secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def states(client: Client) -> dict[str, str]:
    data = (await client.get(KEYS)).at("/data")
    assert isinstance(data, list)
    return {key["selector"]: key["state"] for key in data}


async def test_keys_are_listed_with_their_records_and_without_secrets(
    client: Client, store: KeyStore
) -> None:
    answer = await client.get(KEYS)
    assert answer.status == 200
    first, second = await store.keys(ProjectId("shop"), "shop.example")
    assert answer.text_at("/data/0/record/name") == f"{first.selector}._domainkey.shop.example"
    assert answer.text_at("/data/1/record/value") == second.record
    assert await states(client) == dict.fromkeys((first.selector, second.selector), "active")
    assert b"PRIVATE" not in answer.body


async def test_rotations_at_once_answer_with_the_same_new_keys(
    client: Client, store: KeyStore
) -> None:
    former = await states(client)
    answers = await asyncio.gather(*(client.call("POST", f"{KEYS}/rotate") for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    assert len({answer.body for answer in answers}) == 1
    made = {answers[0].text_at(f"/data/{n}/selector") for n in range(2)}
    assert await states(client) == {**former, **dict.fromkeys(made, "pending")}
    await store.confirm(ProjectId("shop"), "shop.example", made)
    assert await states(client) == {
        **dict.fromkeys(former, "retiring"),
        **dict.fromkeys(made, "active"),
    }


async def test_a_key_is_imported_and_never_shown(client: Client, store: KeyStore) -> None:
    del store
    pem = pem_of(Ed25519PrivateKey.generate())
    answer = await client.post(KEYS, {"selector": "2024", "private_key": pem})
    assert (answer.status, answer.at("/state"), answer.at("/imported")) == (201, "pending", True)
    secret = pem.splitlines()[1].encode()
    assert secret not in answer.body + (await client.get(KEYS)).body
    again = await client.post(KEYS, {"selector": "2024", "private_key": pem})
    assert again.refused == [("/selector", "selector_taken")]
    assert secret not in again.body


def refused_pems() -> dict[str, tuple[str, str]]:
    """Return what cannot be imported, by what is wrong with it, with a word of the remedy."""
    rsa = generate_private_key(65537, 1024)
    plain, pkcs8 = NoEncryption(), PrivateFormat.PKCS8
    locked = BestAvailableEncryption(b"x")
    ed = Ed25519PrivateKey.generate()
    curve = generate_ec(SECP256R1())
    public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    return {
        "short": (rsa.private_bytes(Encoding.PEM, pkcs8, plain).decode(), "2048"),
        "old and short": (
            rsa.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, plain).decode(),
            "2048",
        ),
        "encrypted": (ed.private_bytes(Encoding.PEM, pkcs8, locked).decode(), "openssl pkey"),
        "no DKIM": (curve.private_bytes(Encoding.PEM, pkcs8, plain).decode(), "RSA or Ed25519"),
        "public": (public, "PEM"),
        "text": ("hello", "PEM"),
    }


@pytest.mark.parametrize("name", refused_pems())
async def test_what_cannot_sign_is_refused_with_the_remedy(
    client: Client, store: KeyStore, name: str
) -> None:
    del store
    pem, remedy = refused_pems()[name]
    answer = await client.post(KEYS, {"selector": "2024", "private_key": pem})
    assert answer.refused == [("/private_key", "invalid_key")]
    assert remedy in answer.text_at("/errors/0/detail")


@pytest.mark.parametrize("selector", ["", "A", "a_b", "-a", "a-", "a..b", "a" * 64, "a/b", "ä"])
async def test_a_selector_is_made_of_labels(client: Client, store: KeyStore, selector: str) -> None:
    del store
    pem = pem_of(Ed25519PrivateKey.generate())
    answer = await client.post(KEYS, {"selector": selector, "private_key": pem})
    assert (answer.status, answer.refused[0][0]) == (422, "/selector")
    assert pem.splitlines()[1].encode() not in answer.body


async def test_a_key_is_revoked_and_the_last_one_by_force(client: Client, store: KeyStore) -> None:
    first, second = [key.selector for key in await store.keys(ProjectId("shop"), "shop.example")]
    assert (await client.call("DELETE", f"{KEYS}/{first}")).status == 204
    refused = await client.call("DELETE", f"{KEYS}/{second}")
    assert refused.refused == [("", "last_key")]
    assert (await client.call("DELETE", f"{KEYS}/{second}?force=true")).status == 204
    assert await states(client) == {first: "revoked", second: "revoked"}
    assert (await client.get(KEYS)).at("/data/0/record/value") == "v=DKIM1; p="
    assert (await client.call("DELETE", f"{KEYS}/nothere")).code == "not_found"


async def test_keys_of_other_projects_are_not_there(
    client: Client, stranger: Client, store: KeyStore
) -> None:
    first, _ = await store.keys(ProjectId("shop"), "shop.example")
    pem = pem_of(Ed25519PrivateKey.generate())
    answers = [
        await stranger.get(KEYS),
        await stranger.call("POST", f"{KEYS}/rotate"),
        await stranger.post(KEYS, {"selector": "2024", "private_key": pem}),
        await stranger.call("DELETE", f"{KEYS}/{first.selector}?force=true"),
    ]
    assert [answer.code for answer in answers] == ["not_found"] * 4
    assert set((await states(client)).values()) == {"active"}


async def test_who_may_only_read_changes_no_keys(reader: Client, store: KeyStore) -> None:
    del store
    assert (await reader.get(KEYS)).status == 200
    assert (await reader.call("POST", f"{KEYS}/rotate")).code == "forbidden"
    assert (await reader.call("DELETE", f"{KEYS}/s1")).code == "forbidden"


@pytest.mark.parametrize("key", [SecretStr(new_secret()), None])
async def test_no_process_starts_with_a_secret_that_does_not_open_what_is_there(
    store: KeyStore, settings: Settings, key: SecretStr | None
) -> None:
    del store
    app = create_app(settings.model_copy(update={"secrets": SecretSettings(key=key)}))
    with pytest.raises(ConfigurationError, match="PILLARBOX_SECRETS__KEY"):
        async with app.router.lifespan_context(app):
            pass


async def test_without_a_secret_keys_are_neither_made_nor_imported(
    settings: Settings, redis: Redis
) -> None:
    bare = settings.model_copy(update={"secrets": SecretSettings()})
    await key_store(redis, settings).rotate(ProjectId("shop"), "shop.example")
    await redis.call("HDEL", redis.keys.keyring, "canary")
    key = await create_key(redis, "shop", "test")
    async with served(create_app(bare)) as client:
        client = client.with_key(key)
        pem = pem_of(Ed25519PrivateKey.generate())
        refused = await client.post(KEYS, {"selector": "2024", "private_key": pem})
        assert refused.code == "vault_closed"
        assert "PILLARBOX_SECRETS__KEY" in refused.text_at("/detail")


async def test_mail_of_keys_that_cannot_be_read_is_not_taken(
    client: Client, redis: Redis, store: KeyStore, app: FastAPI
) -> None:
    del app
    first, _ = await store.keys(ProjectId("shop"), "shop.example")
    name = f"{redis.keys.dkim}shop:shop.example"
    await redis.call("HSET", name, f"s:{first.selector}", b"damaged")
    answer = await client.post("/messages", MESSAGE)
    assert answer.code == "vault_closed"
    batch = await client.post("/messages/batch", {"messages": [MESSAGE]})
    assert batch.status == 503 or b"vault_closed" in batch.body
