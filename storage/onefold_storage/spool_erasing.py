"""Takes a person out of the events that wait in the write-ahead log of this machine, and looks whether they are gone.

The suppression list, where the person stands by now, keeps waiting events from landing wherever they are; here
their bytes go too. A log on another machine's volume is cleared by its own drainer, which lands nothing of them. A
segment that is being written is its writer's alone: it began after the person came onto the list.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.errors import Conflict
from onefold_storage.installation import Installation
from onefold_storage.person import Person, known_contracts
from onefold_storage.spool import Spool, frames_of
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import ASIDE, OPEN, read_sealed, rewrite, set_aside, take_over, write_anew
from onefold_storage.suppressor import Suppressor
from onefold_storage.terms import Terms

_PATIENCE = 10.0
_BETWEEN = re.compile(rb'(\n|\{"source":"[a-z0-9_]+","events":\d+,"first":\d+[^{}\n]*\})')
"""What stands between two events in the bytes of a segment: a line end, or how a request begins."""
_SOURCE = re.compile(rb'\{"source":"([a-z0-9_]+)"')


def spool(installation: Installation, name: str, person: Person) -> int:  # noqa: ARG001 - the settings say where
    """Take the person's waiting events out; they count as suppressed when the others land. Gives how many.

    Raises:
        Conflict: a segment is still being written, which is so while storage is away; run the erasure again.
    """
    if not person.identifiers:
        return 0
    waiting = Spool(installation.settings.spool_folder)
    _until_sealed(waiting)
    return _clear(installation, waiting, Terms.of(person.identifiers))


def rescan_spool(installation: Installation, person: Person) -> tuple[int, list[str]]:
    """How many files of the spool there are, and those that hold the person still, as `spool/...`.

    What came in of them while the erasure ran goes first.
    """
    waiting, terms = Spool(installation.settings.spool_folder), Terms.of(person.identifiers)
    if person.identifiers:
        _clear(installation, waiting, terms)
    files = [p for p in (*waiting.waiting(), *waiting.damaged()) if p.suffix != OPEN]
    left = [p for p in files if terms.found_in(_bytes(p).decode("utf-8", "replace"))]
    return len(files), [f"spool/{p.relative_to(waiting.folder)}" for p in left]


def _clear(installation: Installation, waiting: Spool, terms: Terms) -> int:
    contracts = known_contracts(installation)
    suppressor = Suppressor(installation.ledger.suppression, installation.keyed_hash)
    gone = sum(_segment(p, contracts, suppressor) for p in waiting.waiting() if p.suffix != OPEN)
    return gone + sum(_damaged(p, contracts, suppressor, terms) for p in waiting.damaged())


def _segment(path: Path, contracts: Mapping[str, Contract], suppressor: Suppressor) -> int:
    try:
        found = read_sealed(path)
        if found.damaged:
            set_aside(path, found.frames)
    except FileNotFoundError:
        return 0  # it has landed meanwhile
    cleared = [_cleared(f, contracts.get(f.source), suppressor) for f in found.frames]
    count = sum(len(c.erased) - len(f.erased) for c, f in zip(cleared, found.frames, strict=True))
    if not count or not path.exists():
        return 0
    rewrite(path, cleared)
    return count


def _damaged(path: Path, contracts: Mapping[str, Contract], suppressor: Suppressor, terms: Terms) -> int:
    """Blank the person's events in a segment that cannot be read any more, as far as events can be told apart."""
    pieces = _BETWEEN.split(_bytes(path))
    by_source: dict[str, list[BadRow]] = {}
    source = ""
    for n, piece in enumerate(pieces):
        if n % 2 and (named := _SOURCE.match(piece)):
            source = named[1].decode()
        elif piece.strip():
            event = piece[max(piece.find(b"{"), 0) : piece.rfind(b"}") + 1]
            by_source.setdefault(source, []).append(BadRow(n, "", "", event or piece))
    hits = {n for n, piece in enumerate(pieces) if terms.found_in(piece.decode("utf-8", "replace"))}
    for source, rows in by_source.items():
        listed = suppressor.suppressed_bad(contracts.get(source), rows)
        hits |= {row.row_id for row, hit in zip(rows, listed, strict=True) if hit}
    if hits:
        kept = (b" " * len(piece) if n in hits else piece for n, piece in enumerate(pieces))
        write_anew(path, b"".join(kept), path.with_name(f"{path.name}{ASIDE}"))
    return len(hits)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _until_sealed(waiting: Spool) -> None:
    """Wait for segments that are open now to be sealed; whoever writes one does that within a second or two."""
    for folder in waiting.log_folders():  # logs that nobody writes any more
        if lock := take_over(folder):
            lock.release()
    begun = {p for p in waiting.waiting() if p.suffix == OPEN and frames_of(p)}
    until = time.monotonic() + _PATIENCE
    while any(p.exists() for p in begun):
        if time.monotonic() > until:
            raise Conflict("events wait in a log that is still being written; run the erasure again")
        time.sleep(0.05)


def _cleared(frame: Frame, contract: Contract | None, suppressor: Suppressor) -> Frame:
    lines = frame.body.split(b"\n")
    listed = suppressor.suppressed_bad(contract, [BadRow(n, "", "", raw) for n, raw in enumerate(lines)])
    if not any(listed):
        return frame
    body = b"\n".join(b"" if hit else raw for raw, hit in zip(lines, listed, strict=True))
    erased = {*frame.erased, *(n for n, hit in enumerate(listed) if hit)}
    return replace(frame, body=body, erased=tuple(sorted(erased)))
