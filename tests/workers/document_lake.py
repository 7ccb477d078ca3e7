"""An installation with people of a CRM, and their calls, photos and invoices as media files; run by path."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.installation import Installation
from onefold_storage.registry import register
from onefold_storage.schema import LINKS
from onefold_storage.settings import StorageSettings
from onefold_workers.mapping import silver_rows
from onefold_workers.stages.landing import Landed, land_source

NOW = datetime(2018, 6, 1, tzinfo=UTC)
PEOPLE = (
    "id,name,mail,phone\n1,Annabel Smith,ann@example.com,+442079460101\n2,Bob Jones,bob@example.com,+442079460102\n"
)
LINKED = {
    "crm:1": "g-ann", "calls:+442079460101": "g-ann", "papers:ann@example.com": "g-ann",
    "crm:2": "g-bob", "calls:+442079460102": "g-bob", "papers:bob@example.com": "g-bob",
}  # fmt: skip
_TEXT = ("sha256", "media_type", "kind", "title", "author", "text", "problem", "facts")
_FIELDS = {"object": "object", "media_type": "media_type", "text": "text", "facts": "facts"}


def _column(logical: str = "string", kind: str | None = None, **more: Any) -> dict[str, Any]:
    rules = [{"property": "onefold", "value": {"kind": kind}}] if kind else []
    return {"logicalType": logical, **({"customProperties": rules} if rules else {}), **more}


def contract_text(source: str, columns: dict[str, dict[str, Any]], **rules: Any) -> str:
    """An ODCS document."""
    value = {"lawful_basis": "contract", "data_use": ["service"], "country": "GB", **rules}
    return yaml.safe_dump(
        {
            "kind": "DataContract", "apiVersion": "v3.1.0", "id": source, "version": "1.0.0", "status": "active",
            "schema": [{"name": source, "properties": [{"name": n, **c} for n, c in columns.items()]}],
            "customProperties": [{"property": "onefold", "value": value}],
        }
    )  # fmt: skip


def media(source: str, key: str, kind: str, location: str, more: dict[str, Any] | None = None, **rules: Any) -> str:
    """A contract of media files that belong to whom the column `key` says, which is of this kind."""
    columns = {"path": _column(primaryKey=True), "object": _column(required=True)}
    columns |= {c: _column() for c in _TEXT} | {"created_at": _column("timestamp"), "duration_s": _column("number")}
    maps = [
        {"table": "contact_records", "key": [key]},
        {"table": "documents", "contact": {"key": [key]}, "effective_at": "created_at", "fields": _FIELDS},
    ]
    given = {"connector": "media", "location": location, "delivery": "changes", "maps": maps}
    return contract_text(
        source, columns | {key: _column(kind=kind, required=True)} | (more or {}), **(given | rules)
    )


CONTRACTS = {
    "crm": contract_text(
        "crm",
        {
            "id": _column(primaryKey=True), "name": _column(kind="full_name"), "mail": _column(kind="email"),
            "phone": _column(kind="phone"),
        },
        location="people.csv", delivery="snapshot",
    ),
    "calls": media(
        "calls", "phone", "phone", "calls/*/*.wav", {"agent": _column()},
        options={"pattern": "calls/{phone}/*.wav", "sidecar": "{stem}.json"},
    ),
    "papers": media(
        "papers", "mail", "email", "papers/**/*", {"topic": _column()}, options={"sidecar": "{name}.json", "files": 3}
    ),
}  # fmt: skip


def contract(source: str) -> Contract:
    """One of the contracts."""
    return contracts.parse(CONTRACTS[source], source)


def open_home(folder: Path) -> Installation:
    """An installation whose workspace has the contracts and people, and no files yet."""
    made = Installation(StorageSettings(home=folder, now=NOW))
    workspace = made.settings.workspace_folder
    (workspace / "contracts").mkdir(parents=True, exist_ok=True)
    (workspace / "onefold.yaml").write_text("name: documents\n")
    for name, text in CONTRACTS.items():
        (workspace / "contracts" / f"{name}.yaml").write_text(text)
    (workspace / "people.csv").write_text(PEOPLE)
    register(made.lake, made.workspace, made.clock)
    return made


def put(home: Installation, path: str, data: bytes, **sidecar: Any) -> Path:
    """A file in the workspace, with a JSON file beside it where something is said of it."""
    file = home.settings.workspace_folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if sidecar:
        form = file.with_suffix(".json") if path.startswith("calls") else file.with_name(f"{file.name}.json")
        form.write_text(json.dumps(sidecar))
    return file


def land(home: Installation, source: str) -> Landed:
    """Land what is there of a source."""
    return land_source(home.settings, contract(source), home.settings.workspace_folder)


def integrate(home: Installation) -> None:
    """Map everything, and say who is who."""
    lake = home.lake
    for source in CONTRACTS:
        bronze = f"bronze/{source}"
        if not lake.exists(bronze):
            continue
        for name, rows in silver_rows(contract(source), lake.scan(bronze).collect().to_arrow()).items():
            with lake.lock(name):
                lake.commit(name, lake.parts(name, rows), replace={"source": source})
    links = pl.DataFrame(
        [{"record_key": k, "golden_id": g, "valid_from": NOW, "valid_to": None} for k, g in LINKED.items()]
    )
    lake.replace(LINKS.name, lake.frame_to_arrow(LINKS.name, links.cast({"valid_to": pl.Datetime("us", "UTC")})))


def documents(home: Installation) -> list[dict[str, Any]]:
    """Rows of `silver/documents`, by record key and package."""
    return home.lake.scan("silver/documents").collect().sort("record_key", "package_id").to_dicts()
