"""Imports once what every process of onefold imports, so that its bytecode lies in .venv before the first run.

Python would write it at the first use, but not where PYTHONDONTWRITEBYTECODE is set: there each of a demo's dozen
processes would compile the same modules again (a Prefect server then starts in 14 s instead of 8). setup.sh runs
this with that variable unset; two processes share the work. A package that is not installed is passed over.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

SHARES = (
    "prefect prefect.runner prefect.artifacts prefect.flow_engine prefect.cli.deployment prefect.server.api.server "
    "uvicorn.protocols.http.auto websockets.asyncio.server alembic.command rich.progress typer.main",
    "deltalake polars pyarrow.dataset pandas distributed distributed.http.scheduler bokeh.server.server mlflow "
    "sklearn.ensemble sklearn.linear_model scipy.stats scipy.sparse.csgraph rapidfuzz phonenumbers fastapi jinja2 "
    "open_data_contract_standard.model jsonschema sqlalchemy.orm pydantic_settings orjson",
)


def warm(share: str) -> None:
    """Import every module of the share, in this process."""
    for name in share.split():
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def share_out() -> int:
    """Run each share in a process of its own, at the same time; gives the worst exit code."""
    running = [
        subprocess.Popen([sys.executable, __file__, str(number)])  # noqa: S603 - this very file
        for number in range(len(SHARES))
    ]
    return max(process.wait() for process in running)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        warm(SHARES[int(sys.argv[1])])
    else:
        sys.exit(share_out())
