"""An HTTPS host of MTA-STS policies on loopback, as many domains as you like, with a certificate of your choice.

    async with PolicyHost("mta-sts.x.example") as host:
        host.policies["mta-sts.x.example"] = ENFORCED
        settings = TlsSettings(authorities=host.authorities, mta_sts_port=host.port)

A host name without a policy is answered 404. `asked` counts what came; `status`, `headers` and `hold`
make it answer otherwise.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections import Counter
from pathlib import Path
from types import TracebackType

import trustme
from aiohttp import web

ENFORCED = "version: STSv1\nmode: enforce\nmx: mx.x.example\nmax_age: 86400\n"


class PolicyHost:
    """See the module; `names` stand in its certificate, which is that of `authority` or of one of its own."""

    def __init__(
        self, *names: str, authority: trustme.CA | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.host = host
        self.port = 0
        self.policies: dict[str, str | bytes] = {}
        self.asked: Counter[str] = Counter()
        self.status = 200
        self.headers = {"Content-Type": "text/plain; charset=utf-8"}
        self.hold: asyncio.Event | None = None
        self._authority = authority or trustme.CA()
        self._names = names
        self._folder = tempfile.TemporaryDirectory()
        self._runner: web.AppRunner | None = None

    @property
    def authorities(self) -> Path:
        """A PEM file with the authority of its certificate."""
        path = Path(self._folder.name) / "authorities.pem"
        self._authority.cert_pem.write_to_path(path)
        return path

    async def __aenter__(self) -> PolicyHost:
        application = web.Application()
        application.router.add_get("/.well-known/mta-sts.txt", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*self._names).configure_cert(context)
        await web.TCPSite(self._runner, self.host, 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner:
            await self._runner.cleanup()
        self._folder.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        name = (request.host or "").partition(":")[0]
        self.asked[name] += 1
        if self.hold:
            await self.hold.wait()
        policy = self.policies.get(name)
        if policy is None:
            raise web.HTTPNotFound
        body = policy if isinstance(policy, bytes) else policy.encode()
        return web.Response(status=self.status, headers=self.headers, body=body)
