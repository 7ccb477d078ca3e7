"""Settings of the storage floor: where the lake, the ledger and the workspace are, and the clock.

Read from the environment (`ONEFOLD_…`) and nowhere else.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from onefold_storage.clock import Clock, FixedClock, SystemClock

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PLACE = re.compile(r"s3://[^/@:?#\s]+(/.*)?|file:///+[^/].*")


class StorageSettings(BaseSettings):
    """Where things are. Everything has a default under `home`."""

    model_config = SettingsConfigDict(env_prefix="ONEFOLD_", extra="ignore", frozen=True, hide_input_in_errors=True)

    home: Path = Field(default=Path(".onefold"), description="folder of everything embedded")
    lake_url: str | None = Field(default=None, description="root of the lake; `file://…` or `s3://bucket/prefix`")
    landing_url: str | None = Field(
        default=None, description="where sources drop files; what no contract reads there is reported"
    )
    ledger_url: str | None = Field(default=None, description="SQLAlchemy URL of the ledger")
    workspace: Path | None = Field(default=None, description="folder of the workspace")
    now: datetime | None = Field(default=None, description="fixes the clock, for data of another time")
    spool: Path | None = Field(
        default=None, description="folder of the write-ahead log of events, on a volume of its own"
    )
    spool_max_bytes: int = Field(
        default=2 << 30, ge=1 << 20, description="most the log may hold; past it events are refused with 507"
    )
    ingest_key_days: float = Field(
        default=7.0, gt=0, description="days in which an idempotency key that comes again is the same request"
    )
    s3_endpoint: str | None = Field(default=None, description="URL of the S3 server")
    s3_access_key: str | None = Field(default=None, description="access key of the application user")
    s3_secret_key: SecretStr | None = Field(default=None, description="its secret key")
    backup_url: str | None = Field(
        default=None,
        description="where backups lie; each erasure is noted there at once, so that a restore knows it",
    )
    backup_s3_endpoint: str | None = Field(
        default=None, description="URL of the backups' S3 server; else the lake's"
    )
    backup_s3_access_key: str | None = Field(default=None, description="access key for backups; else the lake's")
    backup_s3_secret_key: SecretStr | None = Field(default=None, description="its secret key")
    s3_region: str = Field(default="us-east-1", description="region that signatures name")
    s3_root_user: str | None = Field(
        default=None, description="administrator of the S3 server, for `onefold storage` alone"
    )
    s3_root_password: SecretStr | None = Field(default=None, description="the administrator's password")
    s3_timeout: float = Field(
        default=30.0, gt=0, le=600, description="seconds without an answer after which a request is sent again"
    )
    s3_patience: float = Field(
        default=120.0, gt=0, le=3600, description="seconds in which a request is sent again before it is given up"
    )
    storage_quota: str | None = Field(
        default=None,
        description="most that `onefold storage init` lets the bucket hold: 500GB, 2TiB, 0 for no bound",
    )
    storage_warning_days: float = Field(
        default=90, ge=0, description="storage that may be full in fewer days is worth a warning"
    )
    storage_critical_days: float = Field(default=30, ge=0, description="and in fewer days than these, an alarm")
    storage_warning_used: float = Field(
        default=0.75, gt=0, le=1, description="share of storage taken from which on there is a warning"
    )
    storage_critical_used: float = Field(
        default=0.9, gt=0, le=1, description="share of storage taken from which on there is an alarm"
    )

    @field_validator("lake_url", "backup_url", "landing_url")
    @classmethod
    def _is_a_place(cls, given: str | None) -> str | None:
        if given and _SCHEME.match(given) and not _PLACE.fullmatch(given):
            told = {"found": _shown(given)}
            raise PydanticCustomError(
                "place", "expected s3://BUCKET[/PREFIX], a path or file:///PATH, found {found}", told
            )
        return given

    @field_validator("s3_endpoint", "backup_s3_endpoint")
    @classmethod
    def _is_a_server(cls, given: str | None) -> str | None:
        if given and not _server(given):
            told = {"found": _shown(given)}
            raise PydanticCustomError("server", "expected http(s)://HOST:PORT of an S3 server, found {found}", told)
        return given

    @property
    def root(self) -> Path:
        """`home`, absolute."""
        return self.home.expanduser().absolute()

    @property
    def lake(self) -> str:
        """The lake's root as a URL or an absolute path without a trailing slash."""
        given = (self.lake_url or str(self.root / "lake")).rstrip("/").removeprefix("file://")
        return given if "://" in given else str(Path(given).expanduser().absolute())

    @property
    def landing(self) -> str | None:
        """The landing root as a URL or an absolute path without a trailing slash; None where there is none."""
        given = (self.landing_url or "").rstrip("/").removeprefix("file://")
        if not given:
            return None
        return given if "://" in given else str(Path(given).expanduser().absolute())

    @property
    def ledger(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger_url or f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def workspace_folder(self) -> Path:
        """The workspace, absolute."""
        return (self.workspace or self.root / "workspace").expanduser().absolute()

    @property
    def spool_folder(self) -> Path:
        """The write-ahead log's folder, absolute."""
        return (self.spool or self.root / "spool").expanduser().absolute()

    @property
    def storage_options(self) -> dict[str, str]:
        """Options for delta-rs and object stores; empty for a lake on disk."""
        return self.options_for(self.lake)

    def backup_options_for(self, url: str) -> dict[str, str]:
        """Options for backups at a URL: those of the lake, but for the server and keys that are named for backups."""
        own = {
            "s3_endpoint": self.backup_s3_endpoint,
            "s3_access_key": self.backup_s3_access_key,
            "s3_secret_key": self.backup_s3_secret_key,
        }
        found = self.model_copy(update={k: v for k, v in own.items() if v}).options_for(url)
        return found | {FOR_BACKUPS: "true"} if found else found

    def options_for(self, url: str) -> dict[str, str]:
        """Options for what lies at a URL; empty for a path."""
        if not url.startswith("s3://"):
            return {}
        options = {
            "AWS_REGION": self.s3_region,
            "conditional_put": "etag",
            "timeout": f"{self.s3_timeout}s",
            "connect_timeout": f"{min(self.s3_timeout, 5.0)}s",
            "max_retries": "50",
            "retry_timeout": f"{self.s3_patience}s",
            "backoff_config.init_backoff": "50ms",
            "backoff_config.max_backoff": "5s",
        }
        if self.s3_endpoint:
            options |= {"AWS_ENDPOINT_URL": self.s3_endpoint}
            options |= {"AWS_ALLOW_HTTP": "true"} if self.s3_endpoint.startswith("http://") else {}
        if self.s3_access_key and self.s3_secret_key:
            options["AWS_ACCESS_KEY_ID"] = self.s3_access_key
            options["AWS_SECRET_ACCESS_KEY"] = self.s3_secret_key.get_secret_value()
        return options

    def clock(self) -> Clock:
        """The one clock: the machine's, or the fixed one."""
        return FixedClock(self.now) if self.now else SystemClock()


FOR_BACKUPS = "onefold_backups"
"""The storage option that marks a way to backups, whose settings have other names."""


def _server(url: str) -> bool:
    """Whether it is the URL of a server, and of nothing on it."""
    try:
        at = urlsplit(url)
        port = at.port
    except ValueError:
        return False
    whole = at.scheme in ("http", "https") and at.hostname and port != 0
    return bool(whole) and not (at.path.strip("/") or at.query or at.fragment) and not re.search(r"\s", url)


def _shown(url: str) -> str:
    """A URL as far as it may be told: without a name and password that somebody put into it."""
    return url.rpartition("@")[2]


def patience_of(options: dict[str, str]) -> float:
    """Seconds in which a request is sent again, by the storage options that `StorageSettings` gives."""
    return float(options.get("retry_timeout", "120s").rstrip("s"))


def reading_options(options: dict[str, str]) -> dict[str, int] | None:
    """What Polars needs beside the storage options: it knows patience by other names, and as numbers."""
    if not options:
        return None
    return {
        "max_retries": 50,
        "retry_timeout_ms": int(patience_of(options) * 1000),
        "retry_init_backoff_ms": 50,
        "retry_max_backoff_ms": 5000,
    }
