"""Every place that may hold personal data, each with its eraser; a test fails on a place that is not declared here.

A place without an eraser holds none, and says why. `undeclared` walks what is really there: objects, tables,
the ledger and the home.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from sqlalchemy import create_engine, inspect

from onefold_storage import document_erasing, erasers, spool_erasing
from onefold_storage.erasers import Eraser
from onefold_storage.installation import Installation
from onefold_storage.schema import TABLES

Kind = Literal["table", "objects", "ledger", "home"]


@dataclass(frozen=True)
class Place:
    """A table of the lake, objects below its root, a table of the ledger, or an entry of the home.

    `name` may hold `*`. `holds`: what stands there, or why it is nothing personal. `erase`: None where it is not.
    """

    kind: Kind
    name: str
    holds: str
    erase: Eraser | None = None

    def covers(self, name: str) -> bool:
        """Whether the name is this place's."""
        return fnmatchcase(name, self.name)


_TABLES = (
    Place("table", "bronze/failed_events", "bad rows as they came", erasers.failed_events),
    Place("table", "bronze/*", "what sources sent", erasers.bronze),
    Place("table", "gold/customers", "golden records", erasers.customers),
    *(
        Place("table", f"gold/{name}", "what was computed about a customer", erasers.customers)
        for name in ("traits", "segments", "features/*", "scores", "offers")
    ),
    Place("table", "gold/permissions", "who may be contacted, and by which contact points", erasers.customers),
    *(
        Place("table", f"silver/{name}", "records in canonical form", erasers.records)
        for name in ("relations", "interactions", "cases", "documents", "consents", "accounts", "items")
    ),
    Place("table", "identity/edges", "pairs of record keys", erasers.records),
    Place("table", "identity/marks", "record keys, and keyed hashes of what they are found by", erasers.records),
    Place("table", "identity/evidence", "decisions on pairs of record keys", erasers.records),
    Place("table", "identity/overrides", "values that people set", erasers.records),
    Place("table", "identity/history_edges", "pairs of record keys", erasers.records),
    Place("table", "identity/households", "which golden IDs live together", erasers.customers),
    Place("table", "identity/history", "none: golden IDs are opaque, and go on answering that they are gone"),
    Place("table", "registry/declarations", "none: what people wrote about data, not data"),
    Place("table", "registry/capacity", "none: bytes and rows of tables"),
    # These two say who the person is: they go last, so that an erasure that was cut off can be run again.
    Place("table", "silver/contact_records", "records about people", erasers.records),
    Place("table", "identity/links", "record keys", erasers.records),
)
_OBJECTS = (
    Place(
        "objects",
        "work/*",
        "rows gathered by customer, and those of a publication being built",
        erasers.derived_objects,
    ),
    Place("objects", "publications/*", "serving snapshots", erasers.publications),
    Place(
        "objects", "documents/*", "photos, recordings, attachments, by their content", document_erasing.documents
    ),
    Place(
        "objects",
        "erasing/*",
        "none once it has ended: whom an erasure is about, which itself removes it when nothing of them is left",
    ),
    Place("objects", "packages/*", "none: counts of load packages, and where they came from"),
    Place("objects", "law/*", "none in clear: keyed hashes, opaque IDs, and what was wished or erased"),
    Place("objects", "maintenance/*", "none: digests of tables' files"),
    Place("objects", "replays/*", "none: package and row of failed events that were replayed"),
    Place("objects", "columns/*", "none: names and types of columns; names that may be data are left out"),
    *(
        Place("objects", f"identity/{name}.json", "none: parameters and figures of identity resolution")
        for name in ("model", "report", "held", "quality", "kept")
    ),
    Place("objects", "mapping/*", "none: counts of rows by source"),
    Place("objects", "models/*", "none: parameters and figures of models"),
)
_HASHES = "none in clear: keyed hashes of identifiers, which keep erased people from landing and wishes in force"
_LEDGER = (
    Place("ledger", "load_packages", "none: counts of load packages, and where they came from"),
    Place("ledger", "ingest_requests", "none: keyed hashes of requests, and which package holds their rows"),
    Place("ledger", "bookmarks", "none: how far a source was read"),
    Place("ledger", "api_keys", "none: hashes of keys, and which program has them"),
    Place("ledger", "audit", "none: who did what to opaque IDs"),
    Place("ledger", "suppression_list", _HASHES),
    Place("ledger", "wishes", f"{_HASHES}; and what was written as evidence", erasers.wishes),
    Place("ledger", "publications", "none: versions, counts and checksums"),
    Place("ledger", "runs", "none: stages and counts"),
    Place("ledger", "lake_heads", "none: the newest version of each table"),
    Place("ledger", "alembic_version", "none: the ledger's revision"),
)
_HOME = (
    Place("home", "publications", "copies of serving snapshots", erasers.home_folder),
    Place("home", "scratch", "what passes between tasks while they run", erasers.home_folder),
    Place("home", "lake", "the lake, object by object above"),
    Place("home", "ledger.db*", "the ledger, table by table above"),
    Place("home", "workspace", "none: declarations that people write"),
    Place("home", "spool", "events that were sent and are not yet committed", spool_erasing.spool),
    Place("home", "demo", "the demo's source systems: generated people; sources erase for themselves"),
    Place("home", "secret*", "none: the key of the keyed hashes"),
    Place("home", "locks", "none: empty files"),
    Place("home", "prefect", "none: states and parameters of flow runs, which hold names of tables and counts"),
    Place("home", "mlflow", "none: parameters, figures and models, which hold no rows"),
    Place("home", "mlflow.db*", "none: the same, as a database"),
    Place("home", "logs", "none: messages name tables, rows and rules, never values"),
    Place("home", "run", "none: process ids and ports"),
)
PLACES: tuple[Place, ...] = (*_OBJECTS, *_HOME, *_TABLES, *_LEDGER)
"""In the order of erasure: what is served first, who the person is last."""


def place_of(kind: Kind, name: str) -> Place | None:
    """The first place that covers a name."""
    return next((p for p in PLACES if p.kind == kind and p.covers(name)), None)


def undeclared(installation: Installation) -> list[str]:
    """What is there and no place declares, as `kind: name`, sorted; empty is right."""
    lake = installation.lake
    tables = {*lake.names(), *(t.name for t in TABLES.values() if t.personal)}
    found = {f"table: {name}" for name in tables if place_of("table", name) is None}
    found |= {f"objects: {key}" for key in lake.objects.keys("", unfinished=True) if not _declared(key)}
    found |= {f"ledger: {name}" for name in _ledger_tables(installation) if place_of("ledger", name) is None}
    found |= {f"home: {name}" for name in _home(installation) if place_of("home", name) is None}
    return sorted(found)


def table_of(key: str) -> str | None:
    """The table whose Parquet file or log an object is, by its key; None for other objects."""
    parts = key.split("/")
    depth = 3 if key.startswith("gold/features/") else 2
    if len(parts) <= depth:
        return None
    inside = parts[depth:]
    return "/".join(parts[:depth]) if inside[0] == "_delta_log" or inside[-1].endswith(".parquet") else None


def _declared(key: str) -> bool:
    table = table_of(key)
    return (table is not None and place_of("table", table) is not None) or place_of("objects", key) is not None


def _ledger_tables(installation: Installation) -> list[str]:
    _ = installation.ledger  # brings it to the newest schema
    engine = create_engine(installation.settings.ledger)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _home(installation: Installation) -> list[str]:
    root = installation.settings.root
    elsewhere = (
        {Path(installation.settings.lake).name} if Path(installation.settings.lake).parent == root else set()
    )
    return [p.name for p in root.iterdir() if p.name not in elsewhere] if root.is_dir() else []
