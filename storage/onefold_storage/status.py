"""The state of an installation as one object: tables, packages, identity, models, publication."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson
import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.schema import FAILED_EVENTS, LINKS
from onefold_storage.spool import Spool
from onefold_storage.unfinished import begun

MODELS = "models/figures.json"
"""Where training keeps each model's figures: name, version, metric, value, baseline, interval, beats_baseline."""
TRAINING = "models/inputs.json"
"""Where training keeps what it last learned from, and which models it left out and why, and its remarks."""

UNTIMED = "mapping/untimed.json"
"""Where mapping keeps, by source, the rows so far that are no interactions, because they name no time to be read."""


def status(installation: Installation) -> dict[str, Any]:
    """Everything that `onefold status` tells; quick, and free of personal data."""
    lake = installation.lake
    trained = _object(installation, TRAINING) or {}
    tables = [{"name": n, "rows": lake.rows(n), "version": lake.version(n)} for n in lake.names()]
    return {
        "tables": tables,
        "packages": packages(installation),
        "untimed": {s: f["rows"] for s, f in (_object(installation, UNTIMED) or {}).items() if f["rows"]},
        "spool": spool(installation),
        "identity": identity(installation),
        "models": _object(installation, MODELS) or [],
        "left_out": trained.get("left_out", []),
        "remarks": trained.get("remarks", []),
        "publication": _object(installation, "publications/current.json"),
        "published_before": installation.ledger.publications.any_served(),
        "erasing": begun(lake.objects),
    }


def spool(installation: Installation) -> dict[str, Any]:
    """What waits in this machine's write-ahead log: bytes, age of the oldest in seconds, bytes held by source."""
    depth = Spool(installation.settings.spool_folder).depth()
    return {"bytes": depth.bytes, "oldest_s": depth.oldest, "held": depth.held}


def packages(installation: Installation) -> list[dict[str, Any]]:
    """By source, what its load packages sent and what became of it, in rows.

    `packages`, `held`: how many are committed, and held; `message`: why the newest of these is held, else null.
    """
    book = installation.ledger.packages
    why = book.held_back()
    counts = ("packages", "held", "sent", "landed", "failed", "repeated", "suppressed")
    return [
        {
            "source": source,
            **{c: getattr(sums, c) for c in counts},
            "status": "held" if source in why else "committed",
            "message": why.get(source),
        }
        for source, sums in book.totals().items()
    ]


def identity(installation: Installation) -> dict[str, Any]:
    """Records, customers, pairwise quality where a truth is known (else null), and what the last run was watched for.

    `held`: why the run after it was stopped; null where none was.
    """
    standing = installation.lake.scan(LINKS.name).filter(pl.col("valid_to").is_null())
    counts = standing.select(records=pl.len(), customers=pl.col("golden_id").n_unique()).collect()
    quality = _object(installation, "identity/quality.json") or {}
    report = _object(installation, "identity/report.json") or {}
    return {
        "records": int(counts["records"].item()),
        "customers": int(counts["customers"].item()),
        **{k: quality.get(k) for k in ("precision", "recall", "f1")},
        **{k: report.get(k) for k in ("model_version", "single_source_share", "conflicts", "changes", "drift")},
        "retraining": report.get("retraining", []),
        "mistaken_schemes": report.get("mistaken_schemes") or [],
        "held": (_object(installation, "identity/held.json") or {}).get("why"),
    }


def _object(installation: Installation, key: str) -> Any:
    data = installation.lake.objects.get(key)
    return orjson.loads(data) if data else None


def sources(installation: Installation) -> list[dict[str, Any]]:
    """Each source of the workspace: what landed, what failed, how fresh it is against its objective (seconds).

    `rows_per_day`: how it grows: landed rows of the last 28 days over those days, today included. The day of its
    first load is left out, for that is no rate; None until a day has passed.
    """
    lake, now = installation.lake, installation.clock.now()
    failed = dict(lake.scan(FAILED_EVENTS.name).group_by("source").len().collect().iter_rows())
    totals = installation.ledger.packages.totals()
    by_day = installation.ledger.packages.landed_by_day()
    found = []
    for contract in installation.workspace.sound_contracts()[0]:
        sums = totals.get(contract.id)
        last = sums.last_committed_at if sums else None
        age = (now - last).total_seconds() if last else None
        objective = contract.rules.freshness.total_seconds()
        found.append(
            {
                "source": contract.id,
                "description": contract.description,
                "generated": contract.rules.generated,
                "lawful_basis": contract.rules.lawful_basis,
                "rows": lake.rows(contract.bronze),
                "landed": sums.landed if sums else 0,
                "failed_events": int(failed.get(contract.id, 0)),
                "failed_share": sums.failed / sums.sent if sums and sums.sent else None,
                "rows_per_day": _per_day(by_day.get(contract.id, {}), now.date()),
                "last_landed_at": last.isoformat() if last else None,
                "freshness_objective_s": objective,
                "age_s": age,
                "fresh": age is not None and age <= objective,
            }
        )
    return found


def _per_day(landed: dict[date, int], today: date, days: int = 28) -> float | None:
    if not landed or (passed := (today - min(landed)).days) < 1:
        return None
    recent = [n for day, n in landed.items() if day > min(landed) and 0 <= (today - day).days < days]
    return sum(recent) / min(passed, days)
