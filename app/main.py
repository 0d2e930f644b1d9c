"""The API process: builds every part from the settings and wires them; the twin of `worker.main`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.accept import Acceptor
from app.api.deps import Services
from app.api.document import DESCRIPTION, VERSION, Api
from app.api.identity import domains
from app.api.identity import keys as key_routes
from app.api.middleware import Boundary, Room
from app.api.problems import on_domain_error, on_http_error, on_parameter_error
from app.api.resources import batches, endpoints, messages, suppressions
from app.api.resources import health as health_routes
from app.api.resources import templates as template_routes
from app.dashboard.inbox import mailbox_router
from app.dashboard.unsubscribing import router as unsubscribing
from app.errors import ConfigurationError, PillarboxError
from app.identity.domains import Domains
from app.identity.keybook import StoredKeys
from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.identity.keys.keystore import KeyStore
from app.identity.keys.opening import key_store, require_fitting_secret
from app.identity.returnpath import ReturnPaths
from app.identity.senders import Senders
from app.letters.additions import Links
from app.letters.authoring import Author
from app.letters.library import Library
from app.letters.templating import Patterns
from app.letters.writer import Writer
from app.projects.endpoints import Endpoints
from app.projects.keys import Doorman
from app.projects.suppressions import Suppressions
from app.projects.templates import Templates
from app.projects.unsubscribing import Unsubscriber
from app.rehearsal.dryrun import Rehearsal
from app.settings import Settings, read_settings
from app.signals.logs import configure_logs
from app.signals.metrics import HttpMetrics, WorkshopMetrics, new_registry
from app.spool.client import Redis, end
from app.spool.health import Health
from app.spool.inquiries import Inquiries
from app.spool.jobs import Alarm, arq_pool
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.workshop.workshop import Workshop

_log = structlog.get_logger(__name__)

_Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app_from_env() -> FastAPI:
    """Return the application by the settings of the environment; what uvicorn calls as a factory."""
    settings = read_settings()
    configure_logs(settings.log)
    return create_app(settings)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; Redis is only needed once it starts.

    Raises ConfigurationError for DKIM keys that cannot be used.
    """
    folder, metrics = KeyFolder(settings.dkim.directory), HttpMetrics(new_registry())
    app = Api(
        title="Pillarbox",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=_lifespan(settings, folder, WorkshopMetrics(metrics.registry)),
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.metrics = metrics
    room = Room(settings.api.max_held_bytes, metrics)
    app.add_middleware(Boundary, metrics=metrics, room=room)
    app.add_exception_handler(PillarboxError, on_domain_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_parameter_error)
    for router in (
        messages.sending,
        batches.router,
        messages.router,
        endpoints.router,
        template_routes.router,
        suppressions.router,
        domains.router,
        key_routes.router,
    ):
        app.include_router(router)
    app.include_router(health_routes.router)
    app.include_router(unsubscribing, include_in_schema=False)
    if settings.mailbox.directory:
        app.include_router(mailbox_router(settings.mailbox.directory), include_in_schema=False)
    return app


def _lifespan(settings: Settings, folder: KeyFolder, metrics: WorkshopMetrics) -> _Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Redis.connect(settings.redis) as redis:
            workshop = Workshop(settings.workshop, metrics)
            dkim = key_store(redis, settings)
            writer = Writer(Keyring(folder, dkim), workshop, settings, links=Links.of(settings))
            services = _services(redis, writer, dkim)
            await _tell_condition(services)
            await require_fitting_secret(dkim)
            app.state.services = services
            async with workshop.opened(), asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(services.health.watch())
                ringing = tasks.create_task(services.acceptor.alarm.keep())
                yield
                await end(watching)
                await end(ringing)

    return lifespan


def _services(redis: Redis, writer: Writer, dkim: KeyStore) -> Services:
    settings = writer.settings
    scripts = Scripts.of(redis.keys, settings)
    store = Store(redis, scripts, settings.retention)
    alarm, health = Alarm(arq_pool(redis)), Health(redis, settings.redis)
    templates = Templates(redis, settings.templates)
    library = Library(templates, settings.templates.cache)
    sending = Domains(redis, scripts, settings.domains, StoredKeys(dkim))
    senders = Senders(sending, settings.domains)
    paths = ReturnPaths.of(settings, senders)
    acceptor = Acceptor(store, alarm, health, library, writer, senders, settings, paths)
    suppressions, inquiries = Suppressions(redis, scripts), Inquiries(redis, alarm)
    return Services(
        settings=settings,
        acceptor=acceptor,
        store=store,
        endpoints=Endpoints(redis, settings.webhooks),
        templates=templates,
        author=Author(writer.workshop, Patterns()),
        suppressions=suppressions,
        unsubscriber=Unsubscriber(redis, scripts, alarm),
        tickets=writer.links.tickets,
        domains=sending,
        inquiries=inquiries,
        dkim=dkim,
        rehearsal=Rehearsal(acceptor, suppressions, inquiries, settings.dns.dry_run),
        doorman=Doorman(redis, settings.api.key_cache),
        health=health,
        workshop=writer.workshop,
    )


async def _tell_condition(services: Services) -> None:
    """Say what weakens the promise of a 202; end the start where the settings insist on it."""
    condition = await services.health.check()
    for text in (*condition.troubles, *condition.warnings):
        _log.warning("redis_condition", text=text)
    if services.settings.redis.require_durable and condition.warnings:
        raise ConfigurationError("\n".join(condition.warnings))
