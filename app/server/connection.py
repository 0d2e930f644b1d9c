"""The HTTP connections: uvicorn's, with bounds on all that is no body, and deaf to offers of upgrades.

uvicorn's fast parser takes header fields without end and waits for them without end, before anybody can
ask who sends them. It also loses the body of a request that offers to go on in HTTP/2 (`Upgrade: h2c`),
which is how Java's client begins; RFC 9110 §7.8 lets a server take no notice of the offer.
"""

from __future__ import annotations

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.server.gathering import GatheringTransport

_MOST_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)
_HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Connection(HttpToolsProtocol):
    """One connection of a client; given to uvicorn in place of its own class.

    `patience_s` is how long a request line with its header fields may take to come.
    """

    patience_s = 30.0
    _outside_bytes = 0
    _unanswered = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # uvicorn narrows it too
        self, transport: asyncio.Transport
    ) -> None:
        """Expect a first request."""
        super().connection_made(GatheringTransport(transport, self.loop))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._expect_no_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and end what has no end."""
        self._outside_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._take_no_notice(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse()
        if self._outside_bytes > _MOST_BYTES and not self.transport.is_closing():
            self._end_flood()

    def on_message_begin(self) -> None:
        """Begin a request. What is left of a refused one does not keep the connection open."""
        self._unset_keepalive_if_required()
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to answer, unless the request is to be read again without its offer."""
        if not self.parser.should_upgrade():
            self._expect_no_head()
            self._unanswered += 1
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the body."""
        self._outside_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand on the end of a request."""
        if not self.parser.should_upgrade():
            self._outside_bytes = 0
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self._unanswered -= 1
        super().on_response_complete()

    def _take_no_notice(self, rest: bytes) -> None:
        """Read the request again without the fields that made the parser stop behind its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._refuse()
            return
        closes = any(
            b"close" in value.lower() for name, value in self.headers if name == b"connection"
        )
        fields = [(name, value) for name, value in self.headers if name not in _HOP_BY_HOP]
        fields += [(b"connection", b"close")] if closes else []
        head = b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(
            b"".join([head, *[b"%b: %b\r\n" % field for field in fields], b"\r\n", rest])
        )

    def _refuse(self) -> None:
        self.send_400_response("Invalid HTTP request received.")

    def _end_flood(self) -> None:
        if not self._unanswered:
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.patience_s, self._end_silence)

    def _expect_no_head(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_silence(self) -> None:
        if not self._unanswered:
            self.transport.close()
