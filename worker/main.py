"""The worker process: build what drains need, listen to arq, and stop in good order. Wiring only."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog
import uvloop
from arq import func
from arq.connections import ArqRedis
from arq.worker import Worker

from app.errors import ConfigurationError, SpoolFull
from app.identity.domains import Domains
from app.identity.keybook import StoredKeys
from app.identity.keys.agenda import Agenda
from app.identity.keys.opening import key_store, require_fitting_secret
from app.identity.senders import Senders
from app.processes.garbage import expect_to_serve
from app.rehearsal.prospects import INQUIRY, LOOKING
from app.settings import Settings, read_settings
from app.signals.logs import configure_logs
from app.spool.client import Redis, end, translate
from app.spool.inquiries import Inquiries
from app.spool.jobs import DRAIN_JOB, INQUIRE_JOB, Alarm, arq_pool, decode_job, encode_job
from app.spool.scripts import LANES_PER_JOB, Scripts
from app.spool.workers.lanes import Lanes
from app.spool.workers.policies import PolicyShelf
from app.spool.workers.sources import SourceBook
from worker.claims.leases import Leases
from worker.drains import Drains
from worker.identity.checks import DomainChecks
from worker.identity.inquiries import Answers
from worker.identity.keykeeper import KeyKeeper
from worker.identity.nameservers import NameServers
from worker.identity.outlook import Outlook
from worker.jobs import Jobs
from worker.notify import Notifier
from worker.policies.fetching import Fetcher
from worker.policies.policybook import Means, PolicyBook
from worker.policies.protection import Protection
from worker.reports.reporting import Reporting
from worker.reports.tlsrpt import Publications
from worker.resources import Resources, utc_now
from worker.routing.mx import Router
from worker.routing.resolver import Resolver
from worker.signals.health import Pulse, serve_health
from worker.signals.metrics import Metrics
from worker.sites.profiles import Sites
from worker.sites.sourcefile import read_sources
from worker.sites.sources import by_stream
from worker.smtp.attempt import Carrier
from worker.smtp.pool import Pool
from worker.smtp.tls import Tls
from worker.sweep import keep_time

_log = structlog.get_logger(__name__)

_READ_LIMIT = 10_000
"""Jobs that arq looks at in one poll; below the number that run, it would see only those and take no more."""
_RECONNECT_S = 1.0
_ENOUGH_FILES = 65_536


class Listener(Worker):
    """arq's worker, with a pulse, and calm where Redis goes away."""

    pulse: Pulse

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start jobs side by side: one after the other, each would wait for four answers of Redis."""
        start = super().start_jobs
        await asyncio.gather(*(start([job_id]) for job_id in job_ids))

    async def run_job(self, job_id: str, score: int) -> None:
        """Run a job. Where Redis goes away meanwhile it runs once more later, which does no harm."""
        try:
            await super().run_job(job_id, score)
        except Exception as error:
            if translate(error) is None:
                raise
            _log.warning("job_without_redis", job=job_id, error=str(error))

    async def heart_beat(self) -> None:
        """Beat at each poll, and do what arq does then."""
        self.pulse.beat()
        await super().heart_beat()


@asynccontextmanager
async def open_resources(settings: Settings, redis: Redis) -> AsyncIterator[Resources]:
    """Build everything that drains share; close it at the end."""
    scripts = Scripts.of(redis.keys, settings)
    lanes = Lanes(redis, scripts, settings.retention.settled)
    sources_file = settings.delivery.sources_file
    pools = read_sources(sources_file) if sources_file else ()
    async with AsyncExitStack() as stack:
        sites, tls = Sites(settings.delivery), Tls(settings.tls.authorities)
        pool = await stack.enter_async_context(Pool(settings.delivery, sites, tls))
        resolver = await stack.enter_async_context(Resolver(settings.dns))
        policies = await stack.enter_async_context(_policy_book(settings, resolver, redis, scripts))
        notifying = Notifier.open(settings.webhooks, resolver, utc_now)
        keeper, alarm = _keeper(settings, redis, resolver), Alarm(arq_pool(redis))
        domains = Domains(redis, scripts, settings.domains, StoredKeys(keeper.store))
        outlook = _outlook(settings, resolver, policies)
        answering = _answers(settings, redis, domains, outlook, alarm)
        reporting = Reporting.open(settings, redis, Publications(resolver, policies), utc_now)
        yield Resources(
            settings=settings,
            redis=redis,
            lanes=lanes,
            alarm=alarm,
            leases=Leases(lanes, settings.delivery.lease),
            router=outlook.router,
            policies=policies,
            protection=outlook.protection,
            sites=sites,
            pools=by_stream(pools),
            book=SourceBook(redis, scripts),
            carrier=Carrier(pool, settings.delivery),
            notifier=await stack.enter_async_context(notifying),
            reports=await stack.enter_async_context(reporting),
            senders=Senders(domains, settings.domains),
            domains=domains,
            answers=await stack.enter_async_context(answering),
            keeper=keeper,
            metrics=Metrics(),
            stopping=asyncio.Event(),
            clock=utc_now,
            roll=random.random,
        )


def _outlook(settings: Settings, resolver: Resolver, policies: PolicyBook) -> Outlook:
    """Return what looks ahead for dry runs, by the same router and policies as sending."""
    router = Router(resolver, settings.delivery)
    protection = Protection(resolver, policies, settings)
    budget_s = LOOKING * settings.dns.dry_run.total_seconds()
    return Outlook(resolver, router, protection, budget_s)


def _answers(
    settings: Settings, redis: Redis, domains: Domains, outlook: Outlook, alarm: Alarm
) -> Answers:
    servers = _name_servers(settings, outlook.resolver)
    checks = DomainChecks(domains, servers, alarm, settings.domains, utc_now, random.random)
    return Answers(checks, Inquiries(redis, alarm), {INQUIRY: outlook.answer})


def _keeper(settings: Settings, redis: Redis, resolver: Resolver) -> KeyKeeper:
    return KeyKeeper(
        store=key_store(redis, settings),
        agenda=Agenda(redis),
        resolver=resolver,
        servers=_name_servers(settings, resolver),
        budget=settings.domains.budget,
        rotate_after=settings.dkim.rotate_after,
        clock=utc_now,
    )


def _name_servers(settings: Settings, resolver: Resolver) -> NameServers:
    return NameServers(resolver, settings.domains, settings.dns.query_timeout.total_seconds())


@asynccontextmanager
async def _policy_book(
    settings: Settings, resolver: Resolver, redis: Redis, scripts: Scripts
) -> AsyncIterator[PolicyBook]:
    allowed = settings.delivery.allowed_networks
    async with Fetcher.open(settings.tls, resolver, allowed) as fetcher:
        shelf = PolicyShelf(redis, scripts)
        book = PolicyBook(Means(resolver, fetcher, shelf, utc_now, random.random))
        try:
            yield book
        finally:
            await book.close()


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    pulse = Pulse()
    async with Redis.connect(settings.redis) as redis, open_resources(settings, redis) as resources:
        await require_fitting_secret(resources.keeper.store)
        _stop_on_signals(resources)
        async with (
            serve_health(settings.worker, pulse, resources.metrics.exposition),
            asyncio.TaskGroup() as tasks,
        ):
            leases = tasks.create_task(resources.leases.keep())
            refreshing = tasks.create_task(resources.policies.keep_fresh())
            counting = tasks.create_task(resources.reports.tls.keep())
            keeping = tasks.create_task(resources.keeper.keep())
            async with Drains(resources) as drains:
                ticking = tasks.create_task(keep_time(resources, drains.start))
                listening = tasks.create_task(_listen(redis, resources, drains, pulse))
                _log.info("worker_started", redis=settings.redis.prefix)
                await resources.stopping.wait()
                await end(ticking)
                await end(listening)
                await drains.stop(settings.worker.patience.total_seconds())
            for task in (refreshing, counting, keeping, leases):
                await end(task)
        _log.info("worker_stopped")


async def _listen(redis: Redis, resources: Resources, drains: Drains, pulse: Pulse) -> None:
    """Run arq's loop, and again whenever Redis went away: arq itself would end."""
    pool = arq_pool(redis)
    jobs = Jobs(resources, drains)
    while True:
        listener = _listener(pool, jobs, pulse)
        try:
            await listener.async_run()
        except asyncio.CancelledError:
            # Jobs that were begun are seen through: until their keys lapse, nobody else takes them.
            if listener.tasks:
                await asyncio.wait(listener.tasks.values(), timeout=_RECONNECT_S)
            raise
        except Exception as error:
            trouble = translate(error)
            if trouble is None:
                _log.exception("listener_failed")
            else:
                _log.warning("listener_without_redis", error=str(error))
            if isinstance(trouble, SpoolFull):
                resources.alarm.is_heard = False
        pulse.beat()
        await asyncio.sleep(_RECONNECT_S)


def _listener(pool: ArqRedis, jobs: Jobs, pulse: Pulse) -> Listener:
    settings = jobs.resources.settings.worker
    listener = Listener(
        functions=[func(jobs.drain, name=DRAIN_JOB), func(jobs.inquire, name=INQUIRE_JOB)],
        redis_pool=pool,
        queue_name=pool.default_queue_name,
        handle_signals=False,
        # Lanes that are taken and wait for a place here are lost to workers that have one.
        max_jobs=1 + settings.drains // LANES_PER_JOB,
        job_timeout=timedelta(seconds=30),
        keep_result=0,
        max_tries=1,
        poll_delay=settings.poll,
        queue_read_limit=_READ_LIMIT,
        health_check_key=f"{pool.default_queue_name}:health",
        job_serializer=encode_job,
        job_deserializer=decode_job,
        log_results=False,
    )
    listener.pulse = pulse
    return listener


def _stop_on_signals(resources: Resources) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, resources.stopping.set)


def allow_connections() -> None:
    """Let this process open as many files as it may; many systems start processes with 1,024."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if most == resource.RLIM_INFINITY else min(most, _ENOUGH_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), most))


def main() -> int:
    """Read the settings and work; return the exit code."""
    allow_connections()
    try:
        settings = read_settings()
        configure_logs(settings.log)
        expect_to_serve()
        uvloop.run(run(settings))
    except ConfigurationError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2
    return 0
