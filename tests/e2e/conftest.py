"""Fixtures of the tests that run the whole."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

if TYPE_CHECKING:
    from onefold_flows.server import PrefectServer

ONEFOLD = str(Path(sys.executable).parent / "onefold")


def _beside(name: str) -> ModuleType:
    """A module of this folder, loaded by path: tests import each other's modules in no other way."""
    spec = importlib.util.spec_from_file_location(f"e2e_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stranger() -> ModuleType:
    """`stranger.build(folder)` writes the files of somebody who never heard of the demo."""
    return _beside("stranger")


@dataclass(frozen=True)
class Home:
    """A fresh ONEFOLD_HOME and the real command line in it."""

    path: Path
    environment: Mapping[str, str]

    @property
    def workspace(self) -> Path:
        """Its workspace."""
        return self.path / "workspace"

    def contract(self, source: str) -> Path:
        """Where a source's contract stands."""
        return self.workspace / "contracts" / f"{source}.yaml"

    def begin(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Start `onefold …` in a process group of its own."""
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        return subprocess.Popen(
            [ONEFOLD, *arguments], env=dict(self.environment), cwd=self.path, text=True, process_group=0, **given
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `onefold …` and wait."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess([ONEFOLD, *arguments], process.returncode, out, err)

    def told(self, *arguments: str) -> Any:
        """Run `onefold … --json`, which must go well, and give what it printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, f"onefold {' '.join(arguments)}: {done.stderr[-2000:]}"
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        """Run `onefold …`, which must be refused with plain lines and nothing else; gives standard error."""
        done = self.run(*arguments)
        assert done.returncode not in (0, 130), f"onefold {' '.join(arguments)} went well"
        _plain(done.stderr)
        assert any(line.startswith("onefold: ") for line in done.stderr.splitlines()), done.stderr
        return done.stderr

    def table(self, name: str) -> pl.DataFrame:
        """A table of its lake."""
        return pl.scan_delta(str(self.path / "lake" / name)).collect()


def _plain(text: str) -> None:
    """Fail where a person would see the inside: tracebacks, and words of the engines below."""
    for word in ("Traceback", 'File "', "prefect", "Prefect", "distributed", "dask", "WARNING", "ERROR"):
        assert word not in text, text


@pytest.fixture(scope="session")
def plain() -> Callable[[str], None]:
    """`plain(text)` fails where a person would see the inside of the engines."""
    return _plain


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a Dask scheduler with two warm workers, so that small runs need not wait for their own."""
    from onefold_workers.cluster import cluster
    from onefold_workers.settings import WorkerSettings

    with cluster(WorkerSettings(dask_workers=2)) as client:
        yield str(client.scheduler_info()["address"])


@pytest.fixture(scope="module")
def new_home(
    prefect_server: PrefectServer, scheduler: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Home]:
    """`new_home()` makes a home with a workspace, unless `init` is False, that shares the session's Prefect server.

    With `now` the clock stands still; with `own_cluster` its commands start Dask workers, as they do by default.
    """

    def make(*, init: bool = True, now: str | None = None, own_cluster: bool = False) -> Home:
        path = tmp_path_factory.mktemp("home")
        shared = {"ONEFOLD_HOME": str(path), "ONEFOLD_PREFECT_API_URL": prefect_server.api_url, "COLUMNS": "200"}
        if not own_cluster:
            shared["ONEFOLD_DASK_SCHEDULER"] = scheduler
        home = Home(path, os.environ | shared)
        if init:
            assert home.run("init").returncode == 0
        if now:
            (home.workspace / "onefold.yaml").write_text(f"name: fixed\nnow: {now}\n")
        return home

    return make


class Api:
    """The results API as a client of it sees it."""

    def __init__(self, base: str, key: str) -> None:
        self.base, self.key = base, key

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of a GET, or of a POST with `body`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def found(self, path: str, body: object = None) -> Any:
        """The answer to a question that must be answered."""
        status, answer = self.ask(path, body)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="session")
def serving(free_port: Callable[[], int]) -> Callable[[Home], AbstractContextManager[Api]]:
    """`with serving(home) as api:` runs `onefold serve` with a key from `onefold key create`."""

    @contextmanager
    def serve(home: Home) -> Iterator[Api]:
        port = free_port()
        api = Api(f"http://127.0.0.1:{port}", home.told("key", "create", "stranger")["key"])
        with (home.path / "serve.log").open("w") as log:
            process = home.begin("serve", "--port", str(port), stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    api.ask("/health")
                    break
                except OSError:
                    assert process.poll() is None, (home.path / "serve.log").read_text()
                    assert time.monotonic() < end, "the API did not answer"
                    time.sleep(0.2)
            yield api
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            process.wait(30)
            _plain((home.path / "serve.log").read_text())

    return serve
