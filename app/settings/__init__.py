"""The settings: one frozen tree, read once by `main` and handed out group by group.

Each comes from the environment as `PILLARBOX_<GROUP>__<NAME>` (`PILLARBOX_REDIS__URL`). Lists are JSON
(`PILLARBOX_DNS__NAMESERVERS='["127.0.0.1:5353"]'`), durations are seconds, or have a unit: `90s`, `15m`,
`4h`, `4d`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.errors import ConfigurationError
from app.networks import Network
from app.settings.delivering import DeliverySettings, DnsSettings, TlsSettings
from app.settings.domains import DomainSettings
from app.settings.forms import Count, Group, Port, Seconds
from app.settings.returnpath import ReturnPathSettings
from app.settings.rootkeys import SecretSettings
from app.settings.unsubscribing import UnsubscribeSettings


class RedisSettings(Group):
    """Where the queue lives."""

    url: str = "redis://127.0.0.1:6379/0"
    """`redis://`, `rediss://` or `unix://`; Valkey 8 or Redis 7.2 and later."""
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "pillarbox"
    """First part of every key, so that several installations can share one server."""
    connections: Count = 256
    """Connections of one process at most."""
    timeout: Seconds = timedelta(seconds=5)
    """How long one command may take before Redis counts as away."""
    replicas: Annotated[int, Field(ge=0)] = 0
    """Replicas that must have new mail before it is answered 202, so that one may take over."""
    require_durable: bool = False
    """Refuse to start where Redis does not fsync each write or may evict keys."""
    headroom: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Part of Redis' `maxmemory` above which no new mail is accepted, so that old mail can finish."""


class ApiSettings(Group):
    """The HTTP side."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """Port to listen on."""
    max_body_bytes: Count = 40_000_000
    """Largest request body."""
    max_batch_bytes: Count = 50_000_000
    """Largest request body of a batch; each of its messages may have `max_body_bytes`."""
    max_batch_items: Count = 1_000
    """Messages of one batch."""
    max_batch_sent_bytes: Count = 1_000_000_000
    """Bytes of all messages of one batch as they are sent, about: a shared attachment counts for each that has it,
    since each is signed as a whole."""
    max_held_bytes: Count = 120_000_000
    """Large bodies (above 256 KB) held at a time, together; more are refused (503). Each takes about six
    times its size while it becomes a mail. Of a batch, only what is not kept yet is held."""
    max_message_bytes: Count = 30_000_000
    """Largest message, as it is sent; where each recipient gets a copy of its own, all copies together."""
    max_recipients: Count = 100
    """Recipients of one message: to, cc and bcc together."""
    max_attachments: Count = 100
    """Attachments of one message."""
    keep_alive: Seconds = timedelta(seconds=75)
    """How long an unused connection is kept: longer than load balancers in front keep theirs."""
    key_cache: Seconds = timedelta(seconds=2)
    """How long a revoked API key may still be accepted."""


class WebhookSettings(Group):
    """How applications are told."""

    allowed_networks: tuple[Network, ...] = ()
    """Private or loopback networks that endpoints may nevertheless be in; `http://` is allowed there."""
    timeout: Seconds = timedelta(seconds=15)
    """How long one post may take, from the look-up to the status line."""
    retry_after: tuple[Seconds, ...] = tuple(
        timedelta(seconds=s) for s in (5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    )
    """Waits after the first, second, … failed post of an event; when they are used up it is given up."""
    back_off: tuple[Seconds, ...] = tuple(timedelta(seconds=s) for s in (0.001, 1, 5, 30, 60))
    """Waits of an endpoint after its first, second, … failure in a row; the last one repeats."""
    max_endpoints: Count = 20
    """Endpoints of one project."""
    max_waiting: Count = 100_000
    """Events waiting for one endpoint; when there are more, new ones are not queued for it."""
    drains: Count = 4
    """Drains of one endpoint at a time."""


class TemplateSettings(Group):
    """What mails of a project may be made from."""

    max_templates: Count = 1_000
    """Templates of one project."""
    max_versions: Count = 100
    """Versions of one template."""
    cache: Seconds = timedelta(seconds=2)
    """How long the version that was current before may still be sent."""


class DkimSettings(Group):
    """The keys that sign ([keys.md](keys.md))."""

    directory: Path | None = None
    """Folder with `<domain>/<selector>.pem`, RSA or Ed25519: keys for all projects that have none of their own for
    the domain. All keys of a domain sign."""
    required: bool = True
    """Refuse mail from a domain without a key."""
    overlap: Seconds = timedelta(days=7)
    """How long the record of a key that was rotated out stays, after the last mail that it signed can have left
    (`delivery.max_expires_after`): for those who verify late."""
    rotate_after: Seconds | None = None
    """Age at which the keys of a domain are rotated without being asked, such as `180d`; never where missing."""


class ReportSettings(Group):
    """Reports by mail."""

    postmaster: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "postmaster"
    """Local part of the address that delivery reports come from, at the domain of the message's sender."""
    late_after: Seconds = timedelta(hours=4)
    """Time after which a message that is still under way is reported as late, where it asks for reports."""
    tls_from: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}@[a-z0-9.-]{1,189}$")] | None = (
        None
    )
    """Address that TLS reports (RFC 8460) come from, at a domain with a DKIM key; none are made without it."""
    organization: Annotated[str, Field(max_length=200)] = ""
    """Who sends TLS reports; the domain of `tls_from` where it is empty."""
    contact: Annotated[str, Field(max_length=200)] = ""
    """How to reach who sends them; `tls_from` where it is empty."""


class SuppressionSettings(Group):
    """Addresses that get no more mail (docs/suppressions.md)."""

    on_bounce: bool = True
    """Suppress an address, for the stream of the message, once its receiver says that it cannot take mail."""


class WorkerSettings(Group):
    """The worker process."""

    drains: Count = 2_000
    """Drains one process runs at a time: as many connections, of about 30 KB each."""
    poll: Seconds = timedelta(milliseconds=25)
    """How often the process asks for new jobs."""
    health_host: str = "127.0.0.1"
    """Address of the worker's `/healthz` and `/metrics`."""
    health_port: Port = 8081
    """Port of the worker's `/healthz` and `/metrics`."""
    patience: Seconds = timedelta(seconds=10)
    """How long a stopping worker lets mails finish; then it cuts sessions that have not sent their final dot."""


class ContentSettings(Group):
    """What is added to mails."""

    text_from_html: bool = True
    """Give a mail that has HTML and no text a text part made from the HTML."""


class WorkshopSettings(Group):
    """The child processes that work on HTML: MJML, inlined styles, text from HTML ([html.md](html.md))."""

    children: Count = 1
    """Child processes of each API process; each works on one text at a time and has about 30 MB."""
    timeout: Seconds = timedelta(seconds=5)
    """How long the work on one text may take; then its child process is replaced."""
    memory_bytes: Annotated[int, Field(ge=64_000_000)] = 256_000_000
    """Address space of a child process; work that needs more is refused."""
    max_input_bytes: Count = 512_000
    """Longest text that is worked on; mail programs cut long before."""
    max_depth: Annotated[int, Field(ge=1, le=240)] = 200
    """Deepest nesting of elements in MJML and in HTML whose styles are inlined."""
    max_waiting: Annotated[int, Field(ge=2)] = 1_000
    """Texts that wait at a time, at most half of them of one project; more are refused (503)."""


class RetentionSettings(Group):
    """What is kept when all is done."""

    settled: Seconds = timedelta(days=1)
    """How long a finished message can be asked about; it takes about 2 KB until then."""
    idempotency: Seconds = timedelta(hours=24)
    """How long an idempotency key is remembered."""


class MailboxSettings(Group):
    """The catch-all mailbox of development."""

    directory: Path | None = None
    """Folder of the mails it took; the page `/mailbox` shows them where this is set."""


class LogSettings(Group):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="PILLARBOX_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    redis: RedisSettings = RedisSettings()
    api: ApiSettings = ApiSettings()
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    dns: DnsSettings = DnsSettings()
    tls: TlsSettings = TlsSettings()
    webhooks: WebhookSettings = WebhookSettings()
    templates: TemplateSettings = TemplateSettings()
    domains: DomainSettings = DomainSettings()
    dkim: DkimSettings = DkimSettings()
    reports: ReportSettings = ReportSettings()
    content: ContentSettings = ContentSettings()
    workshop: WorkshopSettings = WorkshopSettings()
    suppressions: SuppressionSettings = SuppressionSettings()
    unsubscribe: UnsubscribeSettings = UnsubscribeSettings()
    return_path: ReturnPathSettings = ReturnPathSettings()
    secrets: SecretSettings = SecretSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    mailbox: MailboxSettings = MailboxSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.delivery.expires_after > self.delivery.max_expires_after:
            raise ValueError("delivery.expires_after is longer than delivery.max_expires_after")
        if self.api.max_held_bytes < self.api.max_body_bytes:
            raise ValueError("api.max_held_bytes is less than api.max_body_bytes, one body")
        if self.dkim.required and not (self.dkim.directory or self.secrets.key):
            raise ValueError(
                "dkim.required is true but no key can be there: set PILLARBOX_SECRETS__KEY, so that projects have "
                "keys (`pillarbox secrets create` prints one), or name the folder of keys for all projects, "
                "dkim.directory (`pillarbox dkim create` makes them), or set PILLARBOX_DKIM__REQUIRED=false"
            )
        if self.unsubscribe.base_url and not self.secrets.key:
            raise ValueError(
                "unsubscribe.base_url is set but secrets.key is not: set PILLARBOX_SECRETS__KEY "
                "(`pillarbox secrets create` prints one)"
            )
        if self.return_path.domain and not self.secrets.key:
            raise ValueError(
                "return_path.domain is set but secrets.key is not: set PILLARBOX_SECRETS__KEY "
                "(`pillarbox secrets create` prints one)"
            )
        return self


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises ConfigurationError with one line for each contradiction or bad value.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = (f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors())
        raise ConfigurationError("\n".join(lines)) from error
    except SettingsError as error:
        # It names the group alone, and its cause says where the text stops to be JSON; neither shows the value.
        group = str(error).partition('"')[2].partition('"')[0].upper()
        raise ConfigurationError(
            f"PILLARBOX_{group}__…: a list or an object is written in JSON, such as "
            f'["first", "second"]: {error.__cause__}'
        ) from error


def _variable(location: tuple[int | str, ...]) -> str:
    return (
        "PILLARBOX_" + "__".join(str(part) for part in location).upper() if location else "settings"
    )
