"""Who may be contacted, for what, through which channel, and why not. Fails closed.

A wish belongs to a contact point or a record; a customer has the wishes of all their records, emails, phones and
external IDs, so that wishes follow them through merge and split. The strictest one decides. What a grant opens is the
contact point that it was given for (`contact_points.py`): the customer is reached there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from onefold_storage.schema import PERMISSIONS
from onefold_workers.contact_points import POINT_OF, holdings, permitted, stated
from onefold_workers.data_uses import ANY, CONSENT, DataUses
from onefold_workers.undated import GRANTED, UNKNOWN, known_since

__all__ = ["DataUses", "permissions"]

_EMPTY = pl.DataFrame(schema=pl.Schema(PERMISSIONS.arrow))
_CELL = ["data_use", "channel"]
_SUBJECT = ["subject_kind", "subject"]
_NEEDS = {**POINT_OF, "post": "post"}


def permissions(
    consents: pl.DataFrame,
    records: pl.DataFrame,
    uses: DataUses,
    purposes: Mapping[str, Collection[str]] | None = None,
    undated: Collection[str] = (),
) -> pl.DataFrame:
    """One row per customer, data use and channel that `uses` names, in the columns of `PERMISSIONS`.

    `consents`: silver's consents, every version (record_key and deleted may be absent: wishes that stand by
    themselves). `records`: the latest contact records with `golden_id`. `purposes`: the data uses that each source's
    contract names; where they are given, a use without consent takes contact points from those sources alone whose
    contract names it (a wish that grants names its purpose itself, wherever the contact point came from). `undated`:
    the sources whose wishes have no time of their own (`undated.py`).

    Allowed is what has a lawful basis and a contact point: `consent` needs a wish that grants it and none that
    forbids it; any other basis holds until somebody objects. Of one subject's wishes for a data use and channel
    the latest stands, of two at the same time the stricter. A wish for channel `any` covers every channel; it
    forbids until a later wish grants the channel by name, and it grants only where no wish forbids the channel by
    name. A wish against data use `any` forbids every use; one in favour of it names no purpose and grants none.
    A state other than GRANTED forbids. Where a source deletes a wish, what it granted is gone and what it forbade
    stays until a later wish grants it.

    Reasons: granted, or the lawful basis, where allowed; else denied, revoked, objection, no_consent (none was given,
    or for no contact point that is known), no_contact_point, or no_purpose: they are known, but to no source for this
    use. `contact_points` are those that may be used: none where nothing is allowed, null for a channel that goes to
    none, such as post.
    """
    if "deleted" in records.columns:
        records = records.filter(~pl.col("deleted").fill_null(False))
    records = records.filter(pl.col("golden_id").is_not_null())
    cells = uses.frame()
    if not records.height or not cells.height:
        return _EMPTY
    held = holdings(records)
    spoken = consents.join(held.select(_SUBJECT).unique(), on=_SUBJECT, how="semi")
    verdicts = _by_subject(_standing(spoken, undated), cells)
    every = (
        _reachable(records, cells, purposes)
        .join(_by_customer(verdicts, held), on=["golden_id", *_CELL], how="left")
        .join(permitted(held, verdicts, cells, purposes), on=["golden_id", *_CELL], how="left")
    )
    return _decided(every).select(pl.col(c).cast(t) for c, t in _EMPTY.schema.items()).sort("golden_id", *_CELL)


def _standing(consents: pl.DataFrame, undated: Collection[str]) -> pl.DataFrame:
    """The wish that stands for each subject, data use and channel: at, forbids, revoked."""
    has = set(consents.columns)
    arrival = [c for c in ("package_id", "row_id") if c in has]
    wish, gone, at = pl.col("state"), pl.col("_gone"), pl.col("effective_at")
    every = (
        consents.with_columns(
            wish.fill_null(""),
            at.fill_null(UNKNOWN),
            _gone=pl.col("deleted").fill_null(False) if "deleted" in has else pl.lit(False),
            _record=pl.col("record_key") if "record_key" in has else pl.lit(None, dtype=pl.String),
        )
        .sort("effective_at", *arrival, "_gone", "state")
        .with_row_index("_place")
        .pipe(known_since, [*_SUBJECT, *_CELL, "_record"], undated)
        .with_columns(forbids=wish != GRANTED)
        .sort("effective_at", "forbids", "_place")
    )
    place = pl.col("_place")
    of_record = every.group_by(*_SUBJECT, *_CELL, "_record", maintain_order=True).agg(
        *(pl.col(c).filter(~gone).last() for c in ("effective_at", "state", "forbids")),
        (place.filter(gone).max() > place.filter(~gone).last()).fill_null(False).alias("_deleted"),
    )
    standing = of_record.filter(wish.is_not_null() & (pl.col("forbids") | ~pl.col("_deleted")))
    return (
        standing.sort("effective_at", "forbids", "state")
        .unique([*_SUBJECT, *_CELL], keep="last", maintain_order=True)
        .select(*_SUBJECT, *_CELL, "forbids", at.alias("at"), (wish == "REVOKED").alias("revoked"))
    )


def _by_subject(standing: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Per subject and cell of `uses`: does it grant, forbid, and is that a revocation."""
    met = standing.rename({"data_use": "wished_use", "channel": "wished_channel"}).join(
        cells.select(_CELL), how="cross"
    )
    use, channel = pl.col("wished_use"), pl.col("wished_channel")
    own = channel == pl.col("channel")
    wide = ~own & (channel == ANY)
    narrow = ~own & (pl.col("channel") == ANY)
    met = met.filter(
        ((use == pl.col("data_use")) | ((use == ANY) & pl.col("forbids")))
        & (own | wide | (narrow & pl.col("forbids")))
    ).with_columns(_own=own & (use != ANY), _wide=(wide & (use != ANY)), _always=narrow | (use == ANY))
    grants, forbids, at = ~pl.col("forbids"), pl.col("forbids"), pl.col("at")
    named_grant = at.filter(pl.col("_own") & grants).max()
    wide_ban = at.filter(pl.col("_wide") & forbids).max()
    own_ban = (pl.col("_own") & forbids).any()
    lifted = named_grant.is_not_null() & (named_grant > wide_ban)
    banned = own_ban | pl.col("_always").any() | (wide_ban.is_not_null() & ~lifted.fill_null(False))
    return met.group_by(*_SUBJECT, *_CELL).agg(
        banned.alias("forbids"),
        (grants & (pl.col("_own") | pl.col("_wide"))).any().alias("grants"),
        (pl.col("forbids") & pl.col("revoked")).any().alias("revoked"),
        (pl.col("forbids") & ~pl.col("revoked")).any().alias("denied"),
    )


def _by_customer(verdicts: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The strictest of all of a customer's subjects."""
    forbids = pl.col("forbids")
    return (
        held.select("golden_id", *_SUBJECT)
        .join(verdicts, on=_SUBJECT, how="inner")
        .group_by("golden_id", *_CELL)
        .agg(
            forbids.any(),
            (pl.col("grants") & ~forbids).any(),
            (forbids & pl.col("denied")).any().alias("denied"),
        )
    )


def _reachable(
    records: pl.DataFrame, cells: pl.DataFrame, purposes: Mapping[str, Collection[str]] | None
) -> pl.DataFrame:
    """Per customer and cell: has the customer its contact point (`_has`), and from a source for this use (`_meant`)."""
    schemes = pl.col("external_ids").list.eval(pl.element().struct.field("scheme"))
    has = {
        "email": pl.col("email").is_not_null() | schemes.list.contains("email").fill_null(False),
        "phone": pl.col("phone").is_not_null() | schemes.list.contains("phone").fill_null(False),
        "post": pl.col("street").is_not_null() & pl.col("city").is_not_null(),
        "": pl.lit(True),
    }
    source = [pl.col("source")] if purposes is not None else []
    by_source = records.group_by("golden_id", *source).agg(e.any().alias(f"_{point}") for point, e in has.items())
    every = by_source.join(cells, how="cross")
    reached = pl.col("_")
    for channel, point in _NEEDS.items():
        reached = pl.when(pl.col("channel") == channel).then(f"_{point}").otherwise(reached)
    meant = pl.lit(True)
    if purposes is not None:
        named = stated(purposes).with_columns(_named=pl.lit(True))
        every = every.join(named, on=["source", "data_use"], how="left")
        meant = pl.col("_named").fill_null(False) | (pl.col("lawful_basis") == CONSENT)
    return every.group_by("golden_id", *_CELL, "lawful_basis").agg(
        reached.any().alias("_has"), (reached & meant).any().alias("_meant")
    )


def _decided(every: pl.DataFrame) -> pl.DataFrame:
    """allowed, reason and contact_points: the wish before the want of a contact point."""
    consent = pl.col("lawful_basis") == CONSENT
    forbids, grants = pl.col("forbids").fill_null(False), pl.col("grants").fill_null(False)
    aimed = pl.col("channel").is_in(list(POINT_OF))
    open_ = ~aimed | pl.col("contact_points").is_not_null()
    reason = (
        pl.when(forbids & consent)
        .then(pl.when(pl.col("denied").fill_null(True)).then(pl.lit("denied")).otherwise(pl.lit("revoked")))
        .when(forbids)
        .then(pl.lit("objection"))
        .when(consent & ~grants)
        .then(pl.lit("no_consent"))
        .when(~pl.col("_has"))
        .then(pl.lit("no_contact_point"))
        .when(~pl.col("_meant"))
        .then(pl.lit("no_purpose"))
        .when(consent & ~open_)
        .then(pl.lit("no_consent"))
        .when(consent)
        .then(pl.lit("granted"))
        .otherwise("lawful_basis")
    )
    allowed = ~forbids & (~consent | grants) & pl.col("_meant") & open_
    nowhere = pl.lit([], dtype=pl.List(pl.String))
    points = pl.when(aimed).then(pl.when(allowed).then("contact_points").otherwise(nowhere))
    return every.with_columns(reason=reason, allowed=allowed, contact_points=points)
