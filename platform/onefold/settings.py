"""Settings of the platform floor: where the API listens and what it allows.

Read from the environment (`ONEFOLD_…`) and nowhere else. Where the lake is, the storage floor's settings say.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PlatformSettings(BaseSettings):
    """How the API and the pages run."""

    model_config = SettingsConfigDict(env_prefix="ONEFOLD_", extra="ignore", frozen=True)

    api_host: str = Field(default="127.0.0.1", description="address the API listens on")
    api_port: int = Field(default=8000, ge=0, le=65535, description="port the API listens on")
    api_country: str | None = Field(
        default=None,
        pattern="^[A-Z]{2}$",
        description="country of phone numbers given without a country code; else those of the contracts and workspace",
    )
    api_max_body: int = Field(default=65_536, ge=1_024, description="largest request body, in bytes")
    api_poll_seconds: float = Field(
        default=1.0, gt=0, le=60, description="how often a replica looks for a new publication"
    )
    api_session_hours: float = Field(default=8.0, gt=0, le=168, description="how long a browser stays signed in")
    api_secure_cookies: bool = Field(
        default=False, description="send the session cookie over HTTPS only; set it behind a TLS proxy"
    )
    ingest_max_body: int = Field(
        default=8 << 20, ge=1_024, description="largest body of events, in bytes, also after unpacking"
    )
    ingest_max_events: int = Field(default=10_000, ge=1, description="most events of one request")
    ingest_max_depth: int = Field(
        default=32, ge=1, le=500, description="deepest nesting of an event, its own braces counted"
    )
    ingest_commit_seconds: float = Field(
        default=10.0, gt=0, le=300, description="longest wait for a commit, where a contract asks for `storage`"
    )
    publication_cache: Path | None = Field(
        default=None,
        description="folder for copies of publications from a bucket; default: `publications` in the home",
    )
