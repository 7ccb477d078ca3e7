"""A customer as of a moment, in the shape in which the publication tells one: worked out from the lake's rows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from onefold_storage.schema import CONSENTS, PERSON

if TYPE_CHECKING:
    import polars as pl

    from onefold.customer_view import CustomerView
    from onefold_storage.installation import Installation

_KNOWN = ("emails", "phones", "external_ids", "addresses", "overridden", "sources", "first_seen", "last_seen")
_SCORES = ("model", "model_version", "score", "rank", "as_of", "run_id", "reasons")
_OFFERS = ("rank", "offer", "score", "model", "model_version", "as_of", "reasons")
_CONSENTS = ("data_use", "channel", "state", "lawful_basis", "subject_kind", "source", "effective_at")
_ALLOWED = ("data_use", "channel", "allowed", "lawful_basis", "reason", "contact_points", "live")


def customer_then(installation: Installation, golden_id: str, at: datetime) -> dict[str, Any]:
    """Everything known of a customer at a moment: profile and permissions by today's rules from what was known then.

    Raises:
        NotFound: no customer had this golden ID by then.
    """
    from onefold.customer_view import customer_view

    found = customer_view(installation, golden_id, at)
    profile = found.profile
    return {
        "golden_id": found.golden_id,
        "merged_from": None if found.golden_id == golden_id else golden_id,
        "publication": f"as of {at.isoformat()}",
        "profile": {c.name: profile.get(c.name) for c in PERSON},
        **{name: profile.get(name) for name in _KNOWN},
        "records": found.records.height,
        "household": found.household,
        "attributes": orjson.loads(profile.get("attributes") or "{}"),
        "provenance": orjson.loads(profile.get("provenance") or "{}"),
        "traits": {t["trait"]: t["text"] if t["number"] is None else t["number"] for t in _newest(found.traits)},
        "currency": None,  # which one it was then is not kept
        "segments": found.segments["segment"].unique().sort().to_list(),
        "scores": found.scores.select(_SCORES).sort("model").to_dicts(),
        "offers": found.offers.select(_OFFERS).sort("rank", "offer").to_dicts(),
        "consents": _consents(installation, found, at),
        "may_contact": found.permissions.select(_ALLOWED).to_dicts(),
        "interactions": {"total": found.interactions.height, "kept": 0},
    }


def _newest(traits: pl.DataFrame) -> list[dict[str, Any]]:
    return traits.sort("as_of").unique("trait", keep="last", maintain_order=True).sort("trait").to_dicts()


def _consents(installation: Installation, found: CustomerView, at: datetime) -> list[dict[str, Any]]:
    """What the customer had said by then, newest first."""
    import polars as pl

    from onefold_storage.as_of import as_of

    profile = found.profile
    points = [("record", k) for k in found.records["record_key"]]
    points += [(kind, v) for kind in ("email", "phone") for v in profile.get(f"{kind}s") or []]
    points += [(i["scheme"], i["value"]) for i in profile.get("external_ids") or []]
    own = pl.LazyFrame(points, schema={"subject_kind": pl.String, "subject": pl.String}, orient="row")
    said = as_of(CONSENTS.name, installation.lake.scan(CONSENTS.name), at)
    mine = said.join(own, on=["subject_kind", "subject"], how="semi").select(_CONSENTS)
    order = ["effective_at", "data_use", "channel", "source"]
    return mine.sort(order, descending=[True, False, False, False]).collect().to_dicts()
