"""What all tests share: the parts a machine may lack, the servers that are started once, and a home of their own.

A part is something that a machine may not have (a browser, PostgreSQL). A test that needs one says so by the
marker `needs_<part>` or by a fixture below. Where the part is missing the test is skipped with the reason, or
fails when `ONEFOLD_REQUIRE` (a comma-separated list, set by `.ci/run`) names the part.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from onefold_flows.server import PrefectServer

# Nothing that a test forgets to place may land in the developer's own .onefold.
_HOME = Path(tempfile.mkdtemp(prefix="onefold-test-"))
os.environ["ONEFOLD_HOME"] = str(_HOME)
for name in ("ONEFOLD_NOW", "ONEFOLD_PREFECT_API_URL", "PREFECT_API_URL", "PREFECT_PROFILE"):
    os.environ.pop(name, None)
os.environ["PREFECT_HOME"] = str(_HOME / "prefect")
os.environ["DO_NOT_TRACK"] = "1"

hypothesis.settings.register_profile(
    "onefold", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis.settings.load_profile("onefold")

_missing: dict[str, str] = {}


def chromium_path() -> str | None:
    """Path of a Chromium on this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def postgres_bin() -> Path | None:
    """Folder with PostgreSQL's server programs, or None."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def _lacking(package: str) -> str | None:
    return None if importlib.util.find_spec(package) else f"the package {package} is not installed"


PARTS: dict[str, Callable[[], str | None]] = {
    "prefect": lambda: _lacking("prefect"),
    "dask": lambda: _lacking("distributed"),
    "browser": lambda: (
        _lacking("playwright") or (None if chromium_path() else "no Chromium (Debian: apt install chromium)")
    ),
    "postgres": lambda: None if postgres_bin() else "no PostgreSQL server (Debian: apt install postgresql)",
}


def need(part: str) -> None:
    """Go on when the machine has the part; else skip, or fail when ONEFOLD_REQUIRE names it."""
    if part not in PARTS:
        raise pytest.UsageError(f"no part {part!r}; the parts are {', '.join(PARTS)}")
    if reason := PARTS[part]():
        lack(part, reason)


def lack(part: str, reason: str) -> None:
    """Skip for want of the part, or fail when ONEFOLD_REQUIRE names it."""
    _missing[part] = reason
    if part in os.environ.get("ONEFOLD_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(f"{part} is required here (ONEFOLD_REQUIRE): {reason}", pytrace=False)
    pytest.skip(f"{part}: {reason}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour the markers needs_<part>."""
    for mark in item.iter_markers():
        if mark.name.startswith("needs_"):
            need(mark.name.removeprefix("needs_"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which parts this machine lacks, and what that left out."""
    if _missing:
        terminalreporter.section("not tested on this machine")
        for part, reason in sorted(_missing.items()):
            terminalreporter.line(f"{part}: {reason}")


def pytest_unconfigure() -> None:
    """Remove the session's home."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def require() -> Callable[[str], None]:
    """`require("browser")` skips or fails where the part is missing."""
    return need


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the Chromium to drive: `chromium.launch(executable_path=..., args=["--no-sandbox"])`."""
    need("browser")
    return str(chromium_path())


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that gives a TCP port of the loopback address that was free a moment ago."""

    def pick() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return pick


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[str]:
    """SQLAlchemy URL of a throw-away PostgreSQL, one for the session; tests make their own databases or schemas."""
    need("postgres")
    programs = postgres_bin()
    assert programs is not None
    base = Path(tempfile.mkdtemp(prefix="onefold-pg-"))
    # PostgreSQL refuses to run as root: hand it to the first unprivileged account that a machine has.
    account = next((name for name in ("postgres", "nobody") if _account(name)), None) if os.getuid() == 0 else None
    if account:
        shutil.chown(base, account)

    def run(*command: str) -> None:
        done = subprocess.run(command, user=account, cwd=base, capture_output=True, text=True, check=False)
        if done.returncode:
            lack("postgres", f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-300:]}")

    data, port = base / "data", free_port()
    options = f"-p {port} -k {base} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
    run(str(programs / "initdb"), "-D", str(data), "-U", "onefold", "--auth=trust", "-E", "UTF8", "--no-sync")
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(base / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://onefold@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[PrefectServer]:
    """The session's Prefect server, answering, with this process pointed at it: flows just run."""
    need("prefect")
    from onefold_flows import server

    running = server.start(_HOME).wait()
    yield running
    running.stop()


def _account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
