"""Keys of a domain over the whole path: real processes, and a name server that publishes what the API lists."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.identity.keys.keystore import KeyStore
from app.identity.keys.vault import PURPOSE, Vault
from app.ids import ProjectId
from app.mail.dkim import Algorithm, SigningKey, generate_pem, load_key
from app.settings import DkimSettings, RedisSettings
from app.settings.rootkeys import SecretSettings, new_secret
from app.spool.client import Redis
from tests.app.mail.verifiers import dkimpy_accepts
from tests.fakes.deployment import Deployment, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import Mail, SmtpServer
from tests.fakes.waiting import eventually

PROJECT, DOMAIN = ProjectId("acme"), "example.com"
KEYS = f"/domains/{DOMAIN}/keys"
SELECTOR = re.compile(rb"(?s)DKIM-Signature:.*? s=([^;]+);")


class Owner:
    """The owner of the domain: publishes what the API lists, and knows how much mail had arrived by then."""

    def __init__(self, pillarbox: Deployment, server: SmtpServer, dns: DnsServer) -> None:
        self.pillarbox = pillarbox
        self.server = server
        self.dns = dns
        self.records: dict[str, str] = {}
        self.arrived_before: dict[str, int] = {}

    async def publish(self) -> None:
        """Publish all records that are listed."""
        for key in rows((await self.pillarbox.ask("GET", KEYS))["data"]):
            record = key["record"]
            assert isinstance(record, dict)
            name, value = str(record["name"]), str(record["value"])
            if name not in self.records:
                self.arrived_before[str(key["selector"])] = len(self.server.mails)
            self.records[name] = value
            self.dns.txt(name, [value[at : at + 255] for at in range(0, len(value), 255)])

    async def states(self) -> dict[str, str]:
        """Return the state of each key by its selector."""
        found = rows((await self.pillarbox.ask("GET", KEYS))["data"])
        return {str(key["selector"]): str(key["state"]) for key in found}

    async def settled(self) -> dict[str, str]:
        """Wait until no key waits for its record."""

        async def look() -> dict[str, str] | None:
            found = await self.states()
            return None if "pending" in found.values() else found

        found = await eventually(look)
        assert found is not None
        return found

    async def signed_by(self, selectors: set[str]) -> None:
        """Wait until mail arrives that these keys have signed."""

        async def look() -> bool:
            return selectors_of(self.server.mails[-1]) == selectors

        assert await eventually(look)

    def verifies(self, index: int) -> bool:
        """Tell whether both signatures of the mail at `index` verify by what was published when it arrived."""
        mail = self.server.mails[index]
        selectors = [name.decode() for name in SELECTOR.findall(mail.content)]
        return len(selectors) == 2 and all(
            self.arrived_before[selector] <= index
            and dkimpy_accepts(mail.content, at, self.records)
            for at, selector in enumerate(selectors)
        )


def selectors_of(mail: Mail) -> set[str]:
    return {name.decode() for name in SELECTOR.findall(mail.content)}


@asynccontextmanager
async def running(
    directory: Path, dns: DnsServer, settings: Mapping[str, str]
) -> AsyncIterator[Owner]:
    """Run everything, with a domain of the project whose first keys sign."""
    dns.a("example.org", "127.0.0.1")
    environment = {
        "PILLARBOX_SECRETS__KEY": new_secret(),
        "PILLARBOX_DKIM__REQUIRED": "true",
        **settings,
    }
    async with (
        SmtpServer() as server,
        deployed(directory, dns, server.port, settings=environment) as pillarbox,
    ):
        async with opened(pillarbox, environment["PILLARBOX_SECRETS__KEY"]) as store:
            await store.prepare(PROJECT, DOMAIN)
        owner = Owner(pillarbox, server, dns)
        await owner.publish()
        await owner.settled()
        yield owner


@asynccontextmanager
async def opened(pillarbox: Deployment, secret: str) -> AsyncIterator[KeyStore]:
    """Open the store of a deployment as one of its processes would."""
    vault = Vault(SecretSettings.model_validate({"key": secret}).derived(PURPOSE))
    async with Redis.connect(RedisSettings(url=pillarbox.valkey.url)) as redis:
        yield KeyStore(redis, vault, DkimSettings().overlap)


async def test_every_mail_of_a_rotation_under_load_verifies(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns, {}) as owner:
        enough, pillarbox, server = asyncio.Event(), owner.pillarbox, owner.server
        generations = [set(await owner.states())]
        sending = [asyncio.create_task(_send_until(enough, pillarbox)) for _ in range(4)]
        for _ in range(2):
            await server.received(len(server.mails) + 10)
            made = await pillarbox.ask("POST", f"{KEYS}/rotate")
            generations.append({str(key["selector"]) for key in rows(made["data"])})
            await server.received(len(server.mails) + 10)
            await owner.publish()
            await owner.settled()
            await server.received(len(server.mails) + 10)
            # What has been told may take two seconds to arrive.
            await owner.signed_by(generations[-1])
        enough.set()
        accepted = [message for task in sending for message in await task]
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert [n for n in range(len(server.mails)) if not owner.verifies(n)] == []
        assert {frozenset(selectors_of(mail)) for mail in server.mails} == {
            frozenset(generation) for generation in generations
        }
        states = await owner.states()
        assert {states[name] for name in generations[0] | generations[1]} == {"retiring"}


async def test_mail_that_waits_keeps_a_signature_that_verifies_after_a_rotation(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with running(tmp_path, dns, {"PILLARBOX_DELIVERY__RETRY_AFTER": "[2]"}) as owner:
        first = set(await owner.states())
        owner.server.reply("DOT", "451 4.3.0 Not now", times=1)
        message = await owner.pillarbox.send("ann@example.org")
        await owner.pillarbox.ask("POST", f"{KEYS}/rotate")
        await owner.publish()
        await owner.settled()
        assert await owner.pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert selectors_of(owner.server.mails[0]) == first
        assert owner.verifies(0)


async def test_a_process_with_another_secret_does_not_start_and_says_why_in_a_line(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with running(tmp_path, dns, {}) as owner:
        pillarbox = owner.pillarbox
        for process in (pillarbox.api, pillarbox.worker):
            await asyncio.to_thread(process.stop)
            process.environment["PILLARBOX_SECRETS__KEY"] = new_secret()
            written = process.log.stat().st_size
            process.start()
            assert await asyncio.to_thread(process.child.wait, 30) == 2
            (line,) = process.log.read_bytes()[written:].decode().split("\n")[:-1]
            assert "PILLARBOX_SECRETS__FORMER_KEYS" in line


async def test_a_secret_key_is_shown_nowhere_by_any_process(tmp_path: Path, dns: DnsServer) -> None:
    secret = new_secret()
    settings = {"PILLARBOX_SECRETS__KEY": secret, "PILLARBOX_LOG__LEVEL": "debug"}
    async with running(tmp_path, dns, settings) as owner:
        pillarbox = owner.pillarbox
        pem = generate_pem(Algorithm.RSA)
        imported = {"selector": "mine", "private_key": pem.decode()}
        answers = [
            str(await pillarbox.ask("POST", KEYS, imported)),
            await _refused(pillarbox, {**imported, "selector": "_"}),
            await _refused(pillarbox, imported),
            await _refused(pillarbox, {**imported, "more": 1}),
        ]
        async with opened(pillarbox, secret) as store:
            first = (await store.signers(PROJECT, DOMAIN)).keys
        answers.append(str(await pillarbox.ask("POST", f"{KEYS}/rotate")))
        await owner.publish()
        await owner.settled()
        async with opened(pillarbox, secret) as store:
            second = (await store.signers(PROJECT, DOMAIN)).keys
        message = await pillarbox.send("ann@example.org")
        await pillarbox.settled(message)
        answers += [str(await pillarbox.ask("GET", KEYS)), str(await pillarbox.events(message))]
        keys = [load_key(pem, DOMAIN, "mine"), *first, *second]
        assert len({key.selector for key in keys}) == 5
        written = b"\n".join(path.read_bytes() for path in _files(tmp_path))
        shown = written + "".join(answers).encode()
        # What is looked at holds what it should: the records, and what Redis was told.
        assert b"mine" in shown
        assert b"HSET" in written
        assert b"canary" in written
        assert [needle for key in keys for needle in _needles(key) if needle in shown] == []
        assert secret.encode() not in shown
        assert b"PRIVATE KEY" not in shown


def _files(directory: Path) -> Iterator[Path]:
    """Yield what the processes wrote: logs, and the file in which the store keeps all that it was ever told."""
    yield from (path for path in directory.rglob("*") if path.is_file())


def _needles(key: SigningKey) -> Iterator[bytes]:
    """Yield the secret part of a key in all the ways in which it could be written."""
    pem = key.secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key.secret, RSAPrivateKey):
        # The first half holds the public numbers.
        yield from pem.splitlines()[14:-2]
        numbers = key.secret.private_numbers()
        octets = [n.to_bytes(128, "big") for n in (numbers.p, numbers.q)]
    else:
        yield pem.splitlines()[1][-40:]
        octets = [key.secret.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())]
    for each in octets:
        yield each
        yield each.hex().encode()
        yield base64.b64encode(each)[:-4]


async def _refused(pillarbox: Deployment, body: Mapping[str, object]) -> str:
    async with pillarbox.session.post(pillarbox.api_url + KEYS, json=body) as answer:
        assert answer.status == 422
        return await answer.text()


async def _send_until(enough: asyncio.Event, pillarbox: Deployment) -> list[str]:
    accepted = []
    while not enough.is_set():
        accepted.append(await pillarbox.send("ann@example.org"))
        await asyncio.sleep(0.02)
    return accepted
