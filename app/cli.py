"""The `pillarbox` command: one for each process, and the tools of whoever operates them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from app.errors import PillarboxError
from app.processes.children import python
from app.processes.garbage import expect_to_serve
from app.settings import Settings, read_settings

_FAILED, _MISCONFIGURED = 1, 2
_GRACE_S = 30

cli = typer.Typer(
    help="Post a letter over HTTP, and it is delivered over SMTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_keys = typer.Typer(help="Make and revoke API keys.", no_args_is_help=True)
_dkim = typer.Typer(help="Make the keys that sign mail.", no_args_is_help=True)
_secrets = typer.Typer(help="Make the secret of an installation.", no_args_is_help=True)
cli.add_typer(_keys, name="keys")
cli.add_typer(_secrets, name="secrets")
cli.add_typer(_dkim, name="dkim")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character must not end a server.
            stream.reconfigure(errors="replace")
    cli()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pillarbox {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("pillarbox")
    except PackageNotFoundError:
        return "(not installed)"


@cli.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Post a letter over HTTP, and it is delivered over SMTP."""


@cli.command()
def api() -> None:
    """Serve the HTTP API. Settings come from the environment (PILLARBOX_…)."""
    with _explained(_MISCONFIGURED):
        _serve_api(read_settings())


def _serve_api(settings: Settings) -> None:
    import uvicorn

    from app.identity.keys.opening import check_secret
    from app.main import create_app_from_env
    from app.server.connection import Connection

    app = create_app_from_env()
    # Said in a line here; once the server starts, it would be a traceback.
    asyncio.run(check_secret(settings))
    expect_to_serve()
    uvicorn.run(
        app,
        host=settings.api.host,
        port=settings.api.port,
        loop="uvloop",
        http=Connection,
        log_config=None,
        access_log=False,
        # Whoever connects could write these headers; nothing here depends on them.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=round(settings.api.keep_alive.total_seconds()),
        timeout_graceful_shutdown=_GRACE_S,
    )


@cli.command()
def worker() -> None:
    """Deliver mail and tell applications about it. Settings come from the environment."""
    # The worker is a package of its own that builds on `app`, never the other way round.
    command = python("-m", "worker")
    os.execv(command[0], command)


@cli.command()
def dev(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8080,
    smtp_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the mailbox.")] = 1025,
    data: Annotated[Path, typer.Option(help="Folder for everything that is kept.")] = Path(
        ".pillarbox"
    ),
) -> None:
    """Run everything on this machine, with a mailbox that takes every mail."""
    from app.dev import Options, run

    with _explained(_FAILED):
        run(Options(data=data, port=port, smtp_port=smtp_port))


@_keys.command("create")
def create_key(
    project: Annotated[str, typer.Option(help="The project that the key belongs to.")],
    name: Annotated[str, typer.Option(help="What the key is for, in your words.")] = "",
) -> None:
    """Make an API key and print it; it cannot be shown again."""
    from app.projects import keys
    from app.spool.client import Redis

    async def create() -> str:
        async with Redis.connect(read_settings().redis) as redis:
            return await keys.create_key(redis, project, name)

    with _explained(_FAILED):
        typer.echo(asyncio.run(create()))


@_keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="The key, or its id.")]) -> None:
    """End an API key; running processes refuse it seconds later."""
    from app.projects import keys
    from app.spool.client import Redis

    async def revoke() -> bool:
        async with Redis.connect(read_settings().redis) as redis:
            return await keys.revoke_key(redis, key)

    with _explained(_FAILED):
        if not asyncio.run(revoke()):
            raise PillarboxError("there is no such key")
    typer.echo("revoked")


@_secrets.command("create")
def create_secret() -> None:
    """Print a new secret for PILLARBOX_SECRETS__KEY; nothing is kept."""
    from app.settings.rootkeys import new_secret

    typer.echo(new_secret())


@_secrets.command("rekey")
def rekey_secrets() -> None:
    """Encrypt all DKIM keys under PILLARBOX_SECRETS__KEY, so that former secrets may go."""
    from app.identity.keys.agenda import Agenda
    from app.identity.keys.opening import key_store
    from app.identity.keys.rekeying import Progress, rekey
    from app.spool.client import Redis

    def tell(done: Progress) -> None:
        typer.echo(f"{done.domains} domains, {done.keys} keys encrypted anew", err=True)

    async def run() -> Progress:
        settings = read_settings()
        async with Redis.connect(settings.redis) as redis:
            return await rekey(key_store(redis, settings), Agenda(redis), tell)

    with _explained(_FAILED):
        done = asyncio.run(run())
    typer.echo(f"{done.keys} keys of {done.domains} domains were encrypted anew")


@_dkim.command("create")
def create_dkim(
    domain: Annotated[str, typer.Argument(help="The domain of your From addresses.")],
    directory: Annotated[
        Path, typer.Option(envvar="PILLARBOX_DKIM__DIRECTORY", help="Folder of all keys.")
    ] = Path("dkim"),
    selector: Annotated[str, typer.Option(help="Start of the names of the keys.")] = "pillarbox",
) -> None:
    """Make an RSA and an Ed25519 key for DOMAIN and print the DNS records to publish."""
    from app.identity.keys.keyfiles import create_keys
    from app.mail.dkim import public_record

    with _explained(_FAILED):
        files = create_keys(directory, domain, selector)
    for file in files:
        if not file.is_new:
            typer.secho(f"{file.path} exists and was left as it is", err=True, fg="yellow")
        typer.echo(f"\nname   {file.key.selector}._domainkey.{file.key.domain}")
        typer.echo(f"type   TXT\nvalue  {public_record(file.key)}")
    typer.echo(f"\nThe keys are in {files[0].path.parent}. Publish the records before you send.")


@contextmanager
def _explained(code: int) -> Iterator[None]:
    """Turn an error that the person at the keyboard can act on into its sentence and a code."""
    try:
        yield
    except PillarboxError as error:
        typer.secho(error.detail, err=True, fg="red")
        raise typer.Exit(code) from error


if __name__ == "__main__":
    main()
