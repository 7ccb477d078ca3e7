"""A resolution put in force: what a run commits, in which order, and how a later run makes good what was cut off.

The tables of the identity graph are committed one after the other, so a process that dies leaves some of them behind.
**Links decide**: they come last, and carry the moment of their run as the version of the transaction `resolve`. No two
runs have one moment, so of `identity/history` what is later than the links' moment never took effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import polars as pl

from onefold_storage.lake import Lake
from onefold_storage.schema import EDGES, HISTORY, HISTORY_EDGES, LINKS
from onefold_workers.identity import Resolution
from onefold_workers.stages.identity_model import KnownModel, keep_model
from onefold_workers.stages.resolving_more import keep

REPORT = "identity/report.json"
HELD = "identity/held.json"
"""What a run would have done that was stopped; absent where none was."""
_APP = "resolve"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Run:
    """What a run comes to. `at`: its moment; `since`: that of the run whose links are in force.

    `history` and `behind`: rows to add to `identity/history` and `identity/history_edges`; `links`: the whole table;
    `inputs`: fingerprint of what all was made from; `several_keys` and `aliases`: as `resolving_more.keep` takes them.
    """

    at: datetime
    since: datetime
    inputs: str
    records: pl.DataFrame
    result: Resolution
    known: KnownModel
    report: dict[str, Any]
    links: pl.DataFrame
    history: pl.DataFrame
    behind: pl.DataFrame
    several_keys: tuple[str, ...]
    aliases: str


def moments(lake: Lake, now: datetime) -> tuple[datetime, datetime]:
    """A run's moment and that of the run in force (1970 where there is none): a clock that stands still, or goes
    back, gives no moment twice."""
    number = lake.transaction(LINKS.name, _APP)
    since = _EPOCH + timedelta(microseconds=max(number, 0))
    if number < 0 and lake.version(LINKS.name) > 0:  # links from before runs had moments: all that is told holds
        since = lake.scan(HISTORY.name).select(pl.col("happened_at").max()).collect().item() or since
    return max(now, since + _TICK), since


def put_in_force(lake: Lake, run: Run) -> None:
    """Commit a run. Hold the lock `identity`.

    1. Model and report: the links are not there yet, so if it ends here the next run writes both again; after the
       links it would find nothing to do, and the last run's would stay for good.
    2. Marks, then edges, under one name: a run that finds two names resolves everything.
    3. History and what was behind it: until links follow, the next run takes it back, whatever that run comes to.
    4. Links: from here on the run is in force, and there is nothing left to do.
    """
    keep_model(lake, run.known)
    lake.objects.put(REPORT, as_json(run.report))
    lake.objects.delete(HELD)
    name = keep(lake, run.records, run.result, run.several_keys, run.aliases)
    lake.replace(EDGES.name, lake.frame_to_arrow(EDGES.name, run.result.edges), inputs=name)
    _tell(lake, HISTORY.name, run.history, run.since)
    _tell(lake, HISTORY_EDGES.name, run.behind, run.since)
    with lake.lock(LINKS.name):
        parts = lake.parts(LINKS.name, lake.frame_to_arrow(LINKS.name, run.links))
        moment = (_APP, (run.at - _EPOCH) // _TICK)
        lake.commit(LINKS.name, parts, replace=True, inputs=run.inputs, transaction=moment)


def _tell(lake: Lake, name: str, rows: pl.DataFrame, since: datetime) -> None:
    """Add what happened in one commit, in place of what runs after `since` told, whose links never came."""
    with lake.lock(name):
        told, untrue = lake.scan(name), pl.col("happened_at") > since
        again = told.filter(untrue).head(1).collect().height > 0
        if again:
            rows = pl.concat([told.filter(~untrue).collect(), rows])
        if again or rows.height:
            lake.commit(name, lake.parts(name, lake.frame_to_arrow(name, rows)), replace=again)


def as_json(facts: dict[str, Any]) -> bytes:
    """Facts whose keys may be numbers."""
    return orjson.dumps(facts, option=orjson.OPT_NON_STR_KEYS)
