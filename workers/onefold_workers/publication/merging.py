"""Ascending frames of several sources, put into one order with a frame or two of each in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl


def in_order(sources: Sequence[Iterator[pl.DataFrame]], keys: Sequence[str]) -> Iterator[pl.DataFrame]:
    """All rows as frames that ascend by `keys`, of sources that each do; the first key holds no null."""
    held: dict[int, pl.DataFrame] = {}
    open_: dict[int, Iterator[pl.DataFrame]] = {}
    for n, source in enumerate(sources):
        if (frame := _next(source)) is not None:
            held[n], open_[n] = frame, source
    first = keys[0]
    while open_:
        # What lies below every open source's last row can be met by nothing that is still to come.
        bound = min(held[n][first][-1] for n in open_)
        ready = []
        for n, frame in held.items():
            at = int(frame[first].search_sorted(bound, "left"))
            if at:
                ready.append(frame[:at])
                held[n] = frame[at:]
        if ready:
            yield pl.concat(ready).sort(keys)
        for n in [n for n in open_ if held[n][first][-1] == bound]:
            if (frame := _next(open_[n])) is None:
                del open_[n]
            else:
                held[n] = pl.concat([held[n], frame])
        held = {n: frame for n, frame in held.items() if frame.height}
    if held:
        yield pl.concat(held.values()).sort(keys)


def _next(source: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
    """The next frame that has rows."""
    return next((frame for frame in source if frame.height), None)
