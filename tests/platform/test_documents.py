"""A customer's documents through the API and the command line: who may, what is written down, what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import polars as pl
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from onefold.api import examples
from onefold.api.shapes import Documents
from onefold.cli import app
from onefold_storage.deliveries import Document
from onefold_storage.documents import keep, key_of
from onefold_storage.errors import NotFound
from onefold_storage.installation import Installation
from onefold_storage.schema import DOCUMENTS, LINKS
from onefold_storage.settings import StorageSettings

AT = datetime(2018, 3, 4, tzinfo=UTC)
CALL = b"RIFF" + bytes(3 << 20)
PHOTO = b"\xff\xd8\xff" + bytes(100)


def _id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _row(key: str, contact: str, data: bytes, package: int = 1, *, deleted: bool = False) -> dict[str, Any]:
    return {
        "record_key": f"calls:{key}", "source": "calls", "package_id": f"calls-{package:08d}", "row_id": 0,
        "effective_at": AT, "deleted": deleted, "contact_key": contact, "object": key_of(_id(data)),
        "media_type": "text/html", "text": "<script>", "facts": json.dumps({"bytes": len(data)}),
    }  # fmt: skip


@pytest.fixture
def with_documents(published: Any) -> Any:
    """Dora has a call, a photo that was replaced by it, and one that was deleted; Ann has the photo."""
    lake = Installation(published.storage).lake

    @contextmanager
    def opened(data: bytes) -> Iterator[IO[bytes]]:
        yield BytesIO(data)

    data = (CALL, PHOTO)
    keep(lake, "calls", [Document(0, _id(d), len(d), lambda d=d: opened(d)) for d in data])  # type: ignore[misc]
    rows = [
        _row("a", "crm:3", PHOTO), _row("a", "crm:3", CALL, 2), _row("b", "crm:3", CALL),
        _row("b", "crm:3", CALL, 3, deleted=True), _row("c", "crm:1", PHOTO), _row("d", "crm:9", PHOTO),
    ]  # fmt: skip
    lake.append(DOCUMENTS.name, lake.frame_to_arrow(DOCUMENTS.name, pl.DataFrame(rows)))
    owners = {"crm:3": "g0000003", "crm:1": "g0000001", "crm:9": "g0000003"}
    links = [
        {"record_key": k, "golden_id": g, "valid_from": AT, "valid_to": AT if k == "crm:9" else None}
        for k, g in owners.items()
    ]
    lake.append(LINKS.name, lake.frame_to_arrow(LINKS.name, pl.DataFrame(links)))
    return published


def test_documents_are_listed_and_fetched(with_documents: Any) -> None:
    Documents.model_validate(examples.DOCUMENTS)
    with TestClient(with_documents.app()) as client:
        headers = {"X-API-Key": with_documents.token("read:documents")}
        base = "/v1/customers/g0000003/documents"
        body = client.get(base, headers=headers).json()
        found = Documents.model_validate(body)
        assert [(d.id, d.bytes) for d in found.documents] == [(_id(CALL), len(CALL))]
        assert "script" not in str(body)
        assert client.get(base, headers=headers, params={"offset": 1}).json()["documents"] == []
        answer = client.get(f"{base}/{_id(CALL)}", headers=headers)
        assert answer.status_code == 200
        assert answer.content == CALL
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        (line,) = with_documents.ledger.audit.list("document.fetch")
        assert (line.target, line.detail) == ("g0000003", {"document": _id(CALL)})
        assert line.actor.startswith("key ")


def test_what_is_not_theirs_or_not_allowed_is_refused(with_documents: Any) -> None:
    with TestClient(with_documents.app(), raise_server_exceptions=False) as client:
        base = "/v1/customers/g0000003/documents"
        headers = {"X-API-Key": with_documents.token("read:documents")}
        assert client.get(f"{base}/{_id(PHOTO)}", headers=headers).status_code == 404, "somebody else's"
        assert client.get(f"{base}/{'0' * 64}", headers=headers).status_code == 404
        assert client.get(f"{base}/..%2F..", headers=headers).status_code in (404, 422)
        assert client.get(f"{base}/{_id(CALL)[:10]}", headers=headers).status_code == 422
        assert client.get("/v1/customers/nobody/documents", headers=headers).status_code == 404
        assert client.get(f"{base}/{_id(CALL)}").status_code == 401
        other = {"X-API-Key": with_documents.token("read:customers", "search")}
        assert client.get(f"{base}/{_id(CALL)}", headers=other).status_code == 403
        assert with_documents.ledger.audit.list("document.fetch") == []
        Installation(with_documents.storage).lake.objects.delete(key_of(_id(CALL)))
        assert client.get(f"{base}/{_id(CALL)}", headers=headers).status_code == 404


def test_the_command_line(with_documents: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(with_documents.storage.root))
    run = CliRunner().invoke
    listed = run(app, ["document", "list", "g0000003"])
    assert listed.exit_code == 0 and listed.output.startswith(_id(CALL)[:16])
    done = run(app, ["document", "fetch", "g0000003", _id(CALL)[:12], "--out", str(tmp_path / "call")])
    assert done.exit_code == 0
    assert (tmp_path / "call").read_bytes() == CALL
    assert [e.actor for e in with_documents.ledger.audit.list("document.fetch")] == ["command line"]
    refused = run(app, ["document", "fetch", "g0000003", _id(PHOTO), "--out", str(tmp_path / "photo")])
    assert refused.exit_code != 0 and not (tmp_path / "photo").exists()


def test_documents_of_nobody_are_not_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path))
    Installation(StorageSettings(home=tmp_path)).lake.replace(LINKS.name, LINKS.arrow.empty_table())
    assert isinstance(CliRunner().invoke(app, ["document", "list", "g-nobody"]).exception, NotFound)
