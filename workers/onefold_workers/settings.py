"""Settings of the workers' floor: where Dask is, and how much of this machine it may use."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """How work is spread."""

    model_config = SettingsConfigDict(env_prefix="ONEFOLD_", extra="ignore", frozen=True)

    dask_scheduler: str | None = Field(default=None, description="address of a Dask scheduler; else this machine")
    dask_workers: int = Field(default=0, ge=0, description="local worker processes; 0 is one a core, at most 8")
    dask_memory: str = Field(default="auto", description="memory limit of each local worker")
    dask_dashboard_port: int = Field(default=0, ge=0, description="port of the local dashboard; 0 is a free one")
    scratch: Path | None = Field(
        default=None, description="folder that all workers share, for what passes between tasks; else one in home"
    )
    mlflow_url: str | None = Field(default=None, description="MLflow's tracking store; else a database in home")


def keep_to_itself() -> None:
    """Turn off MLflow's count of its users, for this process and those it starts; call it before the import."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("DO_NOT_TRACK", "1")
