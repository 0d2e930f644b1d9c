"""`pillarbox dev`: everything on this machine, with a mailbox that takes every mail.

One process holds it together: it starts the embedded Valkey, the worker and the API as children and
runs the mailbox itself. All of it lives on loopback and in one folder; no mail leaves the machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import typer

from app.catchall.folder import Arrival, MailFolder
from app.catchall.reading import read_headers
from app.catchall.specials import MEANINGS
from app.errors import ConfigurationError, Unauthenticated
from app.identity.keys.keyfiles import create_keys
from app.ids import ProjectId
from app.processes.children import Child, Plan, python, require_alive, rotate, running
from app.processes.folderlock import lock_folder
from app.processes.ports import LOOPBACK, free_port, require_free
from app.processes.valkey import EmbeddedValkey
from app.projects.keys import Doorman, create_key
from app.settings import RedisSettings
from app.settings.rootkeys import new_secret
from app.spool.client import Redis

_POLL_S = 0.1
_PROJECT = ProjectId("dev")
_DOMAIN = "example.com"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path
    port: int
    smtp_port: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are in the data folder."""

    data: Path

    @property
    def valkey(self) -> Path:
        """The queue: Valkey's append-only file."""
        return self.data / "valkey"

    @property
    def mailbox(self) -> Path:
        """The mails that arrived."""
        return self.data / "mailbox"

    @property
    def dkim(self) -> Path:
        """The keys that sign."""
        return self.data / "dkim"

    @property
    def key(self) -> Path:
        """The API key."""
        return self.data / "key"

    @property
    def secret(self) -> Path:
        """The secret that links are made with."""
        return self.data / "secret"

    def log(self, name: str) -> Path:
        """The log of one part, of the current run."""
        return self.data / "logs" / f"{name}.log"

    def prepare(self) -> None:
        """Make the folders, and keep them out of version control."""
        for folder in (self.mailbox, self.dkim, self.data / "logs"):
            folder.mkdir(mode=0o700, exist_ok=True)
        (self.data / ".gitignore").write_text("*\n")


def run(options: Options) -> None:
    """Run until Ctrl-C or SIGTERM. Raises PillarboxError, with nothing left running, otherwise."""
    with suppress(asyncio.CancelledError):
        asyncio.run(_run(options))


async def _run(options: Options) -> None:
    serving = asyncio.create_task(_serve(options))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        _say("\nStopping …")
        serving.cancel()
        for number in _SIGNALS:
            # Once is enough: a second Ctrl-C must not interrupt the orderly end.
            loop.add_signal_handler(number, _ignore)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    await serving


def _ignore() -> None:
    """Do nothing."""


async def _serve(options: Options) -> None:
    """Start all parts and watch them. What is entered first ends last: API, worker, mailbox, Valkey."""
    places = Places(options.data.absolute())
    async with AsyncExitStack() as parts:
        parts.callback(os.close, lock_folder(places.data, "`pillarbox dev`"))
        worker_port = _ports(options)
        _prepare(places)
        valkey = await parts.enter_async_context(_valkey(places))
        key = await _api_key(valkey.url, places.key)
        await parts.enter_async_context(_mailbox(options, places))
        environment = _environment(options, places, valkey.url, worker_port)
        worker = await parts.enter_async_context(running(_worker(places, environment, worker_port)))
        api = await parts.enter_async_context(running(_api(places, environment, options.port)))
        await worker.wait_until_ready()
        await api.wait_until_ready()
        _welcome(options, places, key, worker_port)
        await _watch(valkey, (worker, api))


def _ports(options: Options) -> int:
    """Check the ports, and return one for the worker: few look there, so any will do."""
    require_free(options.port, "the API (--port)")
    require_free(options.smtp_port, "the mailbox (--smtp-port)")
    return free_port()


def _prepare(places: Places) -> None:
    try:
        places.prepare()
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {places.data}: {error.strerror}"
        ) from error
    create_keys(places.dkim, _DOMAIN, "dev")
    if not _read(places.secret):
        _write_private(places.secret, new_secret())


@asynccontextmanager
async def _valkey(places: Places) -> AsyncIterator[EmbeddedValkey]:
    rotate(places.log("valkey"))
    valkey = EmbeddedValkey(places.valkey, log=places.log("valkey"))
    valkey.launch()
    try:
        # Not the launch: Linux ties the server to the thread that starts it.
        await asyncio.to_thread(valkey.wait_until_ready)
        yield valkey
    finally:
        valkey.stop()


async def _api_key(url: str, path: Path) -> str:
    """Return the key of the last run if the store still knows it, or a new one."""
    async with Redis.connect(RedisSettings(url=url)) as redis:
        known = _read(path)
        if await _is_valid(redis, known):
            return known
        key = await create_key(redis, _PROJECT, "pillarbox dev")
        _write_private(path, key)
        return key


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


async def _is_valid(redis: Redis, key: str) -> bool:
    try:
        await Doorman(redis, timedelta(seconds=1)).identify(f"Bearer {key}")
    except Unauthenticated:
        return False
    return True


@asynccontextmanager
async def _mailbox(options: Options, places: Places) -> AsyncIterator[None]:
    try:
        from app.catchall.server import receiving
    except ImportError as error:
        raise ConfigurationError(
            "the mailbox needs more packages: run `pip install 'pillarbox[dev-server]'`"
        ) from error
    from app.catchall.certificate import tls_context

    _log_sessions(places.log("mailbox"))
    folder = MailFolder(places.mailbox)
    tls = tls_context(places.data / "tls")
    async with receiving(folder, options.smtp_port, tls, _teller(options, folder)):
        yield


def _log_sessions(log: Path) -> None:
    """Write the SMTP dialogues of the mailbox, and nothing else of this process, to its log."""
    rotate(log)
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("mail.log")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers[:] = [handler]


def _teller(options: Options, folder: MailFolder) -> Callable[[Arrival], None]:
    def tell(arrival: Arrival) -> None:
        subject = read_headers(folder.content(arrival)).header("Subject") or "(no subject)"
        when, recipients = arrival.received_at.astimezone(), ", ".join(arrival.recipients)
        link = f"{_url(options)}/mailbox/{arrival.id}"
        _say(f"{when:%H:%M:%S}  {recipients}  {subject}  {link}")

    return tell


def _environment(
    options: Options, places: Places, redis_url: str, worker_port: int
) -> dict[str, str]:
    """Return the environment of the children.

    Settings of the user's environment hold, but for those that keep everything on this machine. Names
    are compared as the settings compare them, in any case.
    """
    preferred = {
        "PILLARBOX_DELIVERY__RETRY_AFTER": "[5, 15, 60]",
        "PILLARBOX_DELIVERY__SITE_BACK_OFF": "[1, 2, 5]",
        "PILLARBOX_DKIM__DIRECTORY": str(places.dkim),
        "PILLARBOX_DKIM__REQUIRED": "false",
        "PILLARBOX_DOMAINS__REQUIRED": "false",
        "PILLARBOX_DOMAINS__SHARED": json.dumps([_DOMAIN]),
        "PILLARBOX_LOG__FORMAT": "text",
        "PILLARBOX_SECRETS__KEY": _read(places.secret),
        "PILLARBOX_UNSUBSCRIBE__BASE_URL": _url(options),
    }
    loopback = json.dumps(["127.0.0.0/8", "::1/128"])
    fixed = {
        "PILLARBOX_API__HOST": LOOPBACK,
        "PILLARBOX_API__PORT": str(options.port),
        "PILLARBOX_DELIVERY__ALLOWED_NETWORKS": loopback,
        "PILLARBOX_DELIVERY__CATCH_ALL": f"{LOOPBACK}:{options.smtp_port}",
        "PILLARBOX_DELIVERY__EHLO_NAME": "localhost",
        "PILLARBOX_MAILBOX__DIRECTORY": str(places.mailbox),
        "PILLARBOX_REDIS__URL": redis_url,
        "PILLARBOX_WEBHOOKS__ALLOWED_NETWORKS": loopback,
        "PILLARBOX_WORKER__HEALTH_HOST": LOOPBACK,
        "PILLARBOX_WORKER__HEALTH_PORT": str(worker_port),
    }
    given = {name: value for name, value in os.environ.items() if name.upper() not in fixed}
    return {**preferred, **given, **fixed}


def _worker(places: Places, environment: dict[str, str], port: int) -> Plan:
    command = python("-m", "worker")
    return Plan("worker", command, environment, places.log("worker"), port, "/healthz")


def _api(places: Places, environment: dict[str, str], port: int) -> Plan:
    command = python("-m", "app.cli", "api")
    return Plan("API", command, environment, places.log("api"), port, "/readyz")


async def _watch(valkey: EmbeddedValkey, children: tuple[Child, ...]) -> None:
    """Return never; raise ChildError as soon as one of the parts ends."""
    while True:
        require_alive("Valkey", valkey.exit_code, valkey.log)
        for child in children:
            child.require_alive()
        await asyncio.sleep(_POLL_S)


def _url(options: Options) -> str:
    return f"http://{LOOPBACK}:{options.port}"


def example(url: str, key: str) -> str:
    """Return the command that sends a first mail."""
    return (
        f"curl {url}/messages \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        """  -d '{"from": "Shop <hello@example.com>", "to": ["you@example.net"],\n"""
        """       "subject": "Hello", "text": "Posted with Pillarbox."}'"""
    )


def _welcome(options: Options, places: Places, key: str, worker_port: int) -> None:
    """Print where everything is and how to send a first mail; the mailbox page shows that too."""
    url = _url(options)
    command = example(url, key)
    (places.mailbox / "example.txt").write_text(command)
    rows = {
        "API": url,
        "Docs": f"{url}/docs",
        "Mailbox": f"{url}/mailbox",
        "Worker": f"http://{LOOPBACK}:{worker_port}/metrics",
        "API key": key,
        "Data, logs": os.path.relpath(places.data),
    }
    _say(typer.style("\nPillarbox is running. No mail leaves this machine.\n", bold=True))
    for name, value in rows.items():
        _say(f"  {name:<11} {value}")
    _say(f"\nSend a mail; it shows in the mailbox at once:\n\n{command}\n")
    _say("Addresses with another outcome, at any domain:\n")
    for special, meaning in MEANINGS.items():
        _say(f"  {special + '@':<11} {meaning}")
    _say("\nCtrl-C ends it.\n")


def _say(text: str) -> None:
    """Print, or do without: when nobody reads any more, everything must go on and end as usual."""
    with suppress(OSError):
        typer.echo(text)
