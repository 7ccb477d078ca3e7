"""Takes a person out of the events that wait in the write-ahead log of this machine.

The suppression list, where the person stands by now, keeps waiting events from landing wherever they are; here
their bytes go too. A log on another machine's volume is cleared by its own drainer, which lands nothing of them.
"""

from __future__ import annotations

import time
from dataclasses import replace

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.errors import Conflict
from onefold_storage.installation import Installation
from onefold_storage.person import Person, known_contracts
from onefold_storage.spool import Spool, frames_of
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import OPEN, rewrite, take_over
from onefold_storage.suppressor import Suppressor

_PATIENCE = 10.0


def spool(installation: Installation, name: str, person: Person) -> int:  # noqa: ARG001 - the settings say where
    """Take the person's waiting events out; they count as suppressed when the others land. Gives how many.

    Raises:
        Conflict: a segment is still being written, which is so while storage is away; run the erasure again.
    """
    if not person.identifiers:
        return 0
    waiting = Spool(installation.settings.spool_folder)
    _until_sealed(waiting)
    contracts = known_contracts(installation)
    suppressor = Suppressor(installation.ledger.suppression, installation.keyed_hash)
    gone = 0
    for path in waiting.waiting():
        frames = frames_of(path)
        cleared = [_cleared(f, contracts.get(f.source), suppressor) for f in frames]
        count = sum(len(c.erased) - len(f.erased) for c, f in zip(cleared, frames, strict=True))
        if count and path.exists():
            rewrite(path, cleared)
            gone += count
    return gone


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
