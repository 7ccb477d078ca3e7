"""The registry: the workspace's declarations with their versions, in the lake.

Every worker and replica that reads the lake sees the same declarations, and a score can be led back to the
contract and the model file that made it.
"""

from __future__ import annotations

import hashlib

import polars as pl

from onefold_storage.clock import Clock
from onefold_storage.lake import Lake
from onefold_storage.schema import DECLARATIONS
from onefold_storage.workspace import Workspace


def register(lake: Lake, workspace: Workspace, clock: Clock) -> int:
    """Bring the registry up to the workspace and return how many declarations are new, changed or gone."""
    with lake.lock("registry"):
        current = latest(lake)
        given = pl.DataFrame(
            list(workspace.declarations()),
            schema={"kind": pl.String, "name": pl.String, "content": pl.String},
            orient="row",
        ).with_columns(
            pl.col("content")
            .map_elements(lambda text: hashlib.sha256(text.encode()).hexdigest(), return_dtype=pl.String)
            .alias("digest")
        )
        both = given.join(current, on=["kind", "name"], how="full", coalesce=True, suffix="_known")
        same = pl.col("digest").eq_missing(pl.col("digest_known"))
        gone = pl.col("digest").is_null() & pl.col("content_known").is_null()
        changed = both.filter(~same & ~gone)
        if not changed.height:
            return 0
        rows = changed.select(
            "kind",
            "name",
            (pl.col("version").fill_null(0) + 1).cast(pl.Int64).alias("version"),
            pl.col("digest").fill_null("removed"),
            "content",
            pl.lit(clock.now()).dt.cast_time_unit("us").alias("registered_at"),
        )
        lake.append(DECLARATIONS.name, lake.frame_to_arrow(DECLARATIONS.name, rows))
        return changed.height


def latest(lake: Lake) -> pl.DataFrame:
    """The newest version of every declaration, removed ones included (their content is null)."""
    return (
        lake.scan(DECLARATIONS.name)
        .sort("version")
        .unique(["kind", "name"], keep="last", maintain_order=True)
        .sort("kind", "name")
        .collect()
    )


def versions(lake: Lake) -> dict[str, int]:
    """Version by `kind/name` of every declaration that stands."""
    rows = latest(lake).filter(pl.col("content").is_not_null()).select("kind", "name", "version").rows()
    return {f"{kind}/{name}": version for kind, name, version in rows}
