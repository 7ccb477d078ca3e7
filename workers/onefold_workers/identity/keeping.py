"""What one resolution leaves for the next: each record's marks and component, so that new records find their like.

It holds no value in the clear: marks are keyed hashes (`marking.py`). It is of use under one model and one set of
decisions only; where either changes, everything is resolved anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from onefold_workers.identity.marking import Marks
from onefold_workers.identity.people import Rows


@dataclass(frozen=True)
class Kept:
    """One row a record: its key, its component and cluster, the mark of its profile, and the marks of its keys.

    `lead`: whether it is the first of the records that say the same; pairs and components are of these.
    `marks`: by name of the key, shape (records,), or (records, slots) for identifiers; 0 for none. `fields`: those
    that are compared. `own_keys`: sources and the schemes of their own keys (`conflicts.py`).
    """

    keys: pl.Series
    component: Rows
    cluster: Rows
    lead: npt.NDArray[np.bool_]
    profile: Marks
    marks: dict[str, Marks]
    fields: tuple[str, ...]
    own_keys: frozenset[tuple[str, str]]

    def table(self) -> tuple[pl.DataFrame, dict[str, Any]]:
        """As a table of record_key, component, cluster, lead and marks (bytes), and facts (JSON) to read it with."""
        parts = [self.profile[:, None], *(m if m.ndim == 2 else m[:, None] for m in self.marks.values())]
        whole = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype="<u8")
        width = 8 * whole.shape[1]
        data = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(whole), [None, pa.py_buffer(whole)])
        frame = pl.DataFrame(
            {
                "record_key": self.keys,
                "component": self.component,
                "cluster": self.cluster,
                "lead": self.lead,
                "marks": pl.Series("marks", data.cast(pa.large_binary())),
            }
        )
        layout = {n: 0 if m.ndim == 1 else m.shape[1] for n, m in self.marks.items()}
        facts = {"layout": layout, "fields": list(self.fields), "own_keys": sorted(self.own_keys)}
        return frame, facts

    @staticmethod
    def of(table: pa.Table, facts: dict[str, Any]) -> Kept:
        """What `table` wrote down, columns in any order."""
        marks = table["marks"].combine_chunks().cast(pa.large_binary())
        layout: dict[str, int] = facts["layout"]
        width = 1 + sum(max(n, 1) for n in layout.values())
        flat = np.frombuffer(marks.buffers()[2] or b"", dtype="<u8") if len(marks) else np.zeros(0, dtype=np.uint64)
        whole = flat[marks.offset * width :][: len(marks) * width].reshape(-1, width)
        found, at = {}, 1
        for name, slots in layout.items():
            found[name] = np.ascontiguousarray(whole[:, at : at + slots] if slots else whole[:, at])
            at += max(slots, 1)
        return Kept(
            pl.Series("record_key", table["record_key"]),
            table["component"].to_numpy(),
            table["cluster"].to_numpy(),
            table["lead"].to_numpy(),
            np.ascontiguousarray(whole[:, 0]),
            found,
            tuple(facts["fields"]),
            frozenset((a, b) for a, b in facts["own_keys"]),
        )


def stacked(above: Marks, below: Marks) -> Marks:
    """Marks of some records above those of others."""
    if above.ndim == 1:
        return np.concatenate([above, below])
    width = max(above.shape[1], below.shape[1])
    return np.concatenate([np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in (above, below)])
