"""Settings of return paths: where receivers return what they cannot deliver."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.settings.forms import Group

_DOMAIN = r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}$"


class ReturnPathSettings(Group):
    """An address of its own for each recipient, for bounces to come back to ([returnpath.md](returnpath.md))."""

    enabled: bool = True
    """Give them, where `secrets.key` is set and there is a domain for them; else bounces go to the author."""
    domain: Annotated[str, Field(pattern=_DOMAIN)] | None = None
    """Domain of the return paths of mail whose project has none of its own, in A-labels. Needs `secrets.key`."""
