"""Permission as one byte: a customer's whole permission is as many bytes as there are data uses times channels.

Byte u of a customer is 0 where contact for the data use and channel u is allowed, else the number of the reason
why not. Whatever is not stated is not allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from onefold_storage.errors import BadInput

NOT_STATED = "not_stated"
_MOST = 254


@dataclass(frozen=True)
class CodeBook:
    """The same for all customers. `uses`: (data use, channel) by place, from 0; `reasons`: name by number, from 1."""

    uses: tuple[tuple[str, str], ...]
    reasons: dict[int, str]

    @classmethod
    def of(cls, uses: Iterable[tuple[str, str]], reasons: Iterable[str]) -> CodeBook:
        """The codes of these data uses by channel and these reasons, whatever their order.

        Raises:
            BadInput: more than 254 reasons.
        """
        names = sorted({*reasons, NOT_STATED})
        if len(names) > _MOST:
            raise BadInput(f"permissions: expected at most {_MOST} different reasons, found {len(names)}")
        return cls(tuple(sorted(uses)), dict(enumerate(names, start=1)))

    def places(self) -> pl.DataFrame:
        """use (its place), data_use, channel."""
        schema = {"data_use": pl.String, "channel": pl.String}
        return pl.DataFrame(self.uses, schema=schema, orient="row").select(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("use"), *schema
        )


@dataclass(frozen=True)
class PermissionCodes:
    """`grid`: one row per customer and use with allowed, lawful_basis, reason, contact_points, code; `codes`: customer,
    why (binary).
    """

    grid: pl.DataFrame
    codes: pl.DataFrame


def encode(permissions: pl.DataFrame, ids: pl.DataFrame, book: CodeBook) -> PermissionCodes:
    """Encode permissions (PERMISSIONS columns) of the customers in `ids` (golden_id, customer).

    Raises:
        BadInput: a golden ID that stands twice.
    """
    uses = book.places()
    # Stated twice for one customer: the stricter row stands.
    stated = (
        permissions.with_columns(pl.col("allowed").fill_null(False))
        .sort("allowed", "reason")
        .unique(["golden_id", "data_use", "channel"], keep="first", maintain_order=True)
    )
    grid = (
        ids.join(uses, how="cross")
        .join(stated, on=["golden_id", "data_use", "channel"], how="left")
        .with_columns(pl.col("allowed").fill_null(False), pl.col("reason").fill_null(NOT_STATED))
    )
    if grid.height != ids.height * uses.height:
        raise BadInput("customers: expected each golden ID once, found one more often")
    numbers = {name: n for n, name in book.reasons.items()}
    code = (
        pl.when("allowed")
        .then(0)
        .otherwise(pl.col("reason").replace_strict(numbers, default=numbers[NOT_STATED], return_dtype=pl.UInt8))
    )
    grid = grid.with_columns(code=code.cast(pl.UInt8)).sort("customer", "use")
    return PermissionCodes(grid, _packed(grid, ids, uses.height))


def _packed(grid: pl.DataFrame, ids: pl.DataFrame, width: int) -> pl.DataFrame:
    customers = ids.sort("customer").select("customer")
    if not width:
        return customers.with_columns(why=pl.lit(b""))
    buffer = pa.py_buffer(grid["code"].to_numpy().tobytes())
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), customers.height, [None, buffer])
    return customers.with_columns(why=pl.Series("why", array.cast(pa.binary())))
