from __future__ import annotations

from pathlib import Path

import pytest

from app.processes.ports import free_port
from tests.fakes import exim
from tests.fakes.deployment import data, deployed
from tests.fakes.dns import DnsServer
from tests.scenarios.test_postfix import make_keys, verdicts


@pytest.mark.skipif(exim.why_not() is not None, reason=exim.why_not() or "")
async def test_a_real_exim_takes_refuses_and_defers_and_the_signatures_verify(
    tmp_path: Path, dns: DnsServer
) -> None:
    records = make_keys(tmp_path / "dkim")
    port = free_port()
    dns.mx("example.org", (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    keys = {
        "PILLARBOX_DKIM__DIRECTORY": str(tmp_path / "dkim"),
        "PILLARBOX_DKIM__REQUIRED": "true",
    }
    (tmp_path / "exim").mkdir()
    with exim.Exim(tmp_path / "exim", port, "example.org", has_tls=True) as receiver:
        async with deployed(tmp_path, dns, port, settings=keys) as pillarbox:
            message = await pillarbox.send("ann@example.org", "nobody@example.org")
            assert await pillarbox.settled(message) == {
                "ann@example.org": "delivered",
                "nobody@example.org": "bounced",
            }
            waiting = await pillarbox.send("later@example.org", expires_in=2)
            assert await pillarbox.settled(waiting) == {"later@example.org": "expired"}
            assert "deferred" in await pillarbox.told(waiting)
            events = {str(event["type"]): event for event in await pillarbox.events(message)}
            delivered = data(events["message.delivered"])["delivery"]
        assert isinstance(delivered, dict)
        assert delivered["tls"] == "TLSv1.3"
        (stored,) = [path.read_bytes() for path in receiver.mails]
    # Exim puts fields of its own in front, and keeps lines as the system has them.
    assert verdicts(stored.replace(b"\n", b"\r\n"), records) == [True, True]
