"""Ports of loopback: is one free before a server of ours is told to use it."""

from __future__ import annotations

import random
import socket

from app.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def require_free(port: int, use: str) -> None:
    """Raise ConfigurationError if something listens on `port`; `use` names what it is meant for."""
    if not _is_free(port):
        raise ConfigurationError(
            f"port {port} of {LOOPBACK}, meant for {use}, is in use: stop what listens there, "
            "or choose another port"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that are only timing out do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port that nothing listens on: a random one, so that two who ask get two.

    It lies below those that the system gives to outgoing connections, one of which might else have
    taken it by the time it is listened on.
    """
    while not _is_free(port := random.randrange(10_000, 30_000)):
        pass
    return port
