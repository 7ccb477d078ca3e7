"""Settings of the storage floor: where the lake, the ledger and the workspace are, and the clock.

Read from the environment (`ONEFOLD_…`) and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from onefold_storage.clock import Clock, FixedClock, SystemClock


class StorageSettings(BaseSettings):
    """Where things are. Everything has a default under `home`."""

    model_config = SettingsConfigDict(env_prefix="ONEFOLD_", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".onefold"), description="folder of everything embedded")
    lake_url: str | None = Field(default=None, description="root of the lake; `file://…` or `s3://bucket/prefix`")
    ledger_url: str | None = Field(default=None, description="SQLAlchemy URL of the ledger")
    workspace: Path | None = Field(default=None, description="folder of the workspace")
    now: datetime | None = Field(default=None, description="fixes the clock, for data of another time")
    s3_endpoint: str | None = Field(default=None, description="URL of the S3 server")
    s3_access_key: str | None = Field(default=None, description="access key of the application user")
    s3_secret_key: SecretStr | None = Field(default=None, description="its secret key")
    s3_region: str = Field(default="us-east-1", description="region that signatures name")

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
    def ledger(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger_url or f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def workspace_folder(self) -> Path:
        """The workspace, absolute."""
        return (self.workspace or self.root / "workspace").expanduser().absolute()

    @property
    def storage_options(self) -> dict[str, str]:
        """Options for delta-rs and object stores; empty for a lake on disk."""
        if not self.lake.startswith("s3://"):
            return {}
        options = {"AWS_REGION": self.s3_region, "conditional_put": "etag"}
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
