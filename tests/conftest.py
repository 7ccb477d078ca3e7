"""What all tests share: the parts a machine may lack, the servers that are started once, and a home of their own.

A part is something that a machine may not have (a browser, PostgreSQL). A test that needs one says so by the
marker `needs_<part>` or by a fixture below. Where the part is missing the test is skipped with the reason, or
fails when `ONEFOLD_REQUIRE` (a comma-separated list, set by `.ci/run`) names the part.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    "onefold", max_examples=60, deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
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


def minio_bin() -> Path | None:
    """Folder with the MinIO server and its client, as `make minio` lays them, or None."""
    folder = Path(__file__).resolve().parents[1] / ".tools" / "minio"
    return folder if all(os.access(folder / name, os.X_OK) for name in ("minio", "mc")) else None


def _lacking(package: str) -> str | None:
    return None if importlib.util.find_spec(package) else f"the package {package} is not installed"


PARTS: dict[str, Callable[[], str | None]] = {
    "prefect": lambda: _lacking("prefect"),
    "dask": lambda: _lacking("distributed"),
    "browser": lambda: (
        _lacking("playwright") or (None if chromium_path() else "no Chromium (Debian: apt install chromium)")
    ),
    "postgres": lambda: None if postgres_bin() else "no PostgreSQL server (Debian: apt install postgresql)",
    "minio": lambda: (
        _lacking("minio") or _lacking("s3fs") or (None if minio_bin() else "no MinIO server (make minio gets one)")
    ),
    "go": lambda: None if shutil.which("go") else "no Go client (Debian: apt install golang-go)",
    "buildah": lambda: (
        _programs({"buildah": "buildah", "debootstrap": "debootstrap"})
        or (None if os.getuid() == 0 else "only root can build images without namespaces")
    ),
    "tables": lambda: (
        None
        if (Path(__file__).resolve().parents[1] / ".tools" / "tables" / ".stamp").is_file()
        else "no packages of public tables (infra/tables.sh gets them)"
    ),
    "dovecot": lambda: _programs({"dovecot": "dovecot-imapd"}),
    "services": lambda: _programs(
        {
            "haproxy": "haproxy",
            "mosquitto": "mosquitto",
            "mosquitto_sub": "mosquitto-clients",
            "prometheus": "prometheus",
            "prometheus-postgres-exporter": "prometheus-postgres-exporter",
            "wget": "wget",
        }
    ),
}


def _programs(packages: dict[str, str]) -> str | None:
    """What Debian's packages would bring, where one of the programs is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    missing = sorted({package for program, package in packages.items() if not shutil.which(program, path=path)})
    return f"programs are missing (Debian: apt install {' '.join(missing)})" if missing else None


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests run in several processes, hand on what this one missed."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["missing"] = _missing


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what a process missed."""
    _missing.update(getattr(node, "workeroutput", {}).get("missing", {}))


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
def lacking() -> Callable[[str, str], None]:
    """`lacking("go", why)` skips or fails when a part that is there turns out not to work."""
    return lack


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


@dataclass(frozen=True)
class MinioServer:
    """A MinIO process of one node: its URL, its administrator, and its process for tests that stop it."""

    endpoint: str
    root_user: str
    root_password: str
    process: subprocess.Popen[bytes]

    def settings(self, bucket: str) -> dict[str, Any]:
        """Settings of a lake in a bucket of this server, whose application user has the bucket's name."""
        return {
            "lake_url": f"s3://{bucket}/lake",
            "s3_endpoint": self.endpoint,
            "s3_access_key": f"user-of-{bucket}",
            "s3_secret_key": f"secret-of-{bucket}",
        }

    def root(self) -> dict[str, Any]:
        """Settings of its administrator."""
        return {"s3_root_user": self.root_user, "s3_root_password": self.root_password}


@pytest.fixture(scope="session")
def minio(free_port: Callable[[], int]) -> Iterator[MinioServer]:
    """The session's MinIO, answering; it is empty but for what tests put there."""
    need("minio")
    programs = minio_bin()
    assert programs is not None
    base, endpoint = Path(tempfile.mkdtemp(prefix="onefold-minio-")), f"127.0.0.1:{free_port()}"
    user, password = secrets.token_hex(8), secrets.token_hex(16)
    private = {
        "PATH": os.environ["PATH"],
        "HOME": str(base),
        "MINIO_ROOT_USER": user,
        "MINIO_ROOT_PASSWORD": password,
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
        "MINIO_CI_CD": "1",
    }
    command = [str(programs / "minio"), "server", "--quiet", "--address", endpoint, str(base / "data")]
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(command, env=private, cwd=base, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://{endpoint}/minio/health/ready", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        else:
            process.kill()
        if process.poll() is not None:
            lack("minio", f"the server did not start: {(base / 'log').read_text().strip()[-300:]}")
        yield MinioServer(f"http://{endpoint}", user, password, process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def _bucket_once(minio: MinioServer) -> dict[str, Any]:
    from onefold_storage.buckets import prepare
    from onefold_storage.settings import StorageSettings

    settings = minio.settings("onefold")
    prepare(StorageSettings(**settings, **minio.root()))
    return settings


@pytest.fixture
def bucket(_bucket_once: dict[str, Any]) -> dict[str, Any]:
    """Settings of an empty lake of this test's own in the session's MinIO: `StorageSettings(home=…, **bucket)`."""
    return _bucket_once | {"lake_url": f"s3://onefold/{uuid.uuid4().hex}"}


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
