"""The identity model in the lake: frozen between deliberate retrainings, kept with what it was learned from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

from onefold_storage.lake import Lake
from onefold_workers.identity import IdentityModel
from onefold_workers.identity.watching import OUTGROWN

MODEL = "identity/model.json"


@dataclass(frozen=True)
class KnownModel:
    """A model, the number of records it was learned from (0 where that is not known), and when."""

    model: IdentityModel
    records: int
    learned_at: datetime | None


def known_model(lake: Lake, records: int | None = None) -> KnownModel | None:
    """The model in force; None where there is none yet, or it is outgrown by this many records."""
    data = lake.objects.get(MODEL)
    if data is None:
        return None
    kept = orjson.loads(data)
    learned_from, at = int(kept.get("records", 0)), kept.get("learned_at")
    if records is not None and learned_from and records >= OUTGROWN * learned_from:
        return None
    return KnownModel(
        IdentityModel.from_json(kept["model"]), learned_from, datetime.fromisoformat(at) if at else None
    )


def keep_model(lake: Lake, known: KnownModel) -> None:
    """Put it in force."""
    at = known.learned_at.isoformat() if known.learned_at else None
    facts = {"records": known.records, "learned_at": at, "model": known.model.to_json()}
    lake.objects.put(MODEL, orjson.dumps(facts))
