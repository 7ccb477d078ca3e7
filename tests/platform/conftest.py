"""An installation with a publication, and the API over it."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi.testclient import TestClient

from onefold.api.app import create_app
from onefold.settings import PlatformSettings
from onefold_storage.clock import FixedClock
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.ledger import Ledger
from onefold_storage.objects import Objects
from onefold_storage.publications import SERVING_FILE, Publication, Publications
from onefold_storage.settings import StorageSettings
from onefold_workers.publication import GoldFrames, build

NOW = datetime(2018, 1, 1, tzinfo=UTC)


def _made_up() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gold_frames", Path(__file__).parents[1] / "gold_frames.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made_up() -> ModuleType:
    """The module of made-up gold frames."""
    return _made_up()


@dataclass
class Home:
    """An installation in a folder of its own."""

    storage: StorageSettings
    ledger: Ledger
    hashed: KeyedHash
    publications: Publications

    def publish(self, gold: GoldFrames, facts: dict[str, Any]) -> Publication:
        """Build and publish."""
        path = self.storage.root / "draft.sqlite"
        build(path, gold, facts, hashed=self.hashed)
        return self.publications.publish({SERVING_FILE: path}, NOW, facts)

    def token(self, *scopes: str) -> str:
        """A key with these scopes."""
        return self.ledger.keys.create("test", scopes)[1]

    def app(self, **settings: Any) -> Any:
        """The API over it."""
        return create_app(self.storage, PlatformSettings(**{"api_poll_seconds": 0.05, **settings}))


def _open(folder: Path) -> Home:
    storage = StorageSettings(home=folder, now=NOW)
    ledger = Ledger.open(storage.ledger, FixedClock(NOW))
    return Home(storage, ledger, KeyedHash.at(storage.root / "secret"), Publications(Objects(storage.lake)))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty installation."""
    opened = _open(tmp_path / "home")
    with opened.ledger:
        yield opened


@pytest.fixture(scope="session")
def _pattern(tmp_path_factory: pytest.TempPathFactory, made_up: ModuleType) -> Path:
    """An installation that published once, to be copied."""
    made = _open(tmp_path_factory.mktemp("pattern") / "home")
    with made.ledger:
        made.publish(made_up.gold_frames(), made_up.facts())
    return made.storage.root


@pytest.fixture
def published(_pattern: Path, tmp_path: Path) -> Iterator[Home]:
    """An installation that has published 200 customers."""
    shutil.copytree(_pattern, tmp_path / "home")
    opened = _open(tmp_path / "home")
    with opened.ledger:
        yield opened


@pytest.fixture
def client(published: Home) -> Iterator[TestClient]:
    """The API over it, without a key."""
    with TestClient(published.app(), raise_server_exceptions=False) as opened:
        yield opened


_described: list[tuple[str, str, set[str]]] = []
"""Method, pattern of the path and statuses of every request that the description lists; the same for every client."""


def statuses_of(client: TestClient, method: str, path: str) -> set[str]:
    """Statuses that the description lists for a request; none where it does not list the request."""
    if not _described:
        paths = client.app.openapi()["paths"]  # type: ignore[attr-defined]
        _described.extend(
            (method.upper(), re.sub(r"\{[^}]+\}", "[^/]+", described), set(operation["responses"]))
            for described, operations in paths.items()
            for method, operation in operations.items()
        )
    asked = path.partition("?")[0]
    return next((said for m, pattern, said in _described if m == method and re.fullmatch(pattern, asked)), set())


@pytest.fixture
def ask(published: Home, client: TestClient) -> Callable[..., Any]:
    """`ask("GET", path, …)` with a key that may do everything but administer; its status has to be a described one."""
    scopes = ("read:customers", "read:scores", "read:sources", "read:metrics", "search", "write:consents")
    token = published.token(*scopes)

    def asked(method: str, path: str, **more: Any) -> Any:
        answer = client.request(method, path, headers={"X-API-Key": token}, **more)
        described = statuses_of(client, method, path)
        assert not described or str(answer.status_code) in described, f"{method} {path}: {answer.status_code}"
        return answer

    return asked
