"""A commit of which storage holds too little: its put was cut off, on too few drives to be read.

While every node is there MinIO does not show such an object. With one node away it does list it, and then says that it
is not there (seen with three of eight drives holding it), so that delta-rs cannot open the table. Nobody was told that
this commit was made, so that it never was: who reads takes the version before it, and who holds the table's lock puts
an empty commit in its place; a checkpoint is made again. `heads.py` says whether a commit was acknowledged all the
same; then nothing is done but told.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from onefold_storage.clock import SystemClock
from onefold_storage.errors import Unavailable
from onefold_storage.objects import Objects

_UNREAD = re.compile(r"(?:File not found:|Object at location) \S*?_delta_log/(\d{20})\.(json|checkpoint\.parquet)")
_LOOKS = 3
"""How often an object that is listed is asked for before it counts as torn; nodes that have just met answer so too."""


def unread(error: Exception) -> bool:
    """Whether delta-rs met a commit, or a checkpoint, that is listed and not there."""
    return bool(_UNREAD.search(str(error)))


def torn_checkpoint(error: Exception) -> int | None:
    """The version of a checkpoint that is listed and not there; None where it is a commit."""
    found = _UNREAD.search(str(error))
    return int(found[1]) if found and found[2] != "json" else None


def torn_version(error: Exception, objects: Objects, name: str) -> int | None:
    """The version whose commit is listed last and cannot be read; None where it is read by now.

    Raises:
        Unavailable: it is not the newest: what was committed is not shown at the moment.
    """
    found = _UNREAD.search(str(error))
    assert found
    version, key = int(found[1]), log_key(name, int(found[1]))
    for look in range(_LOOKS):
        if look:
            time.sleep(0.2)
        if objects.get(key) is not None:
            return None
    listed = [k for k in objects.keys(f"{name}/_delta_log") if k.endswith(".json") and k[-25:-5].isdigit()]
    if key not in listed:
        return None
    if key != listed[-1]:
        raise hidden(name, version)
    return version


def hidden(name: str, version: int) -> Unavailable:
    """The error for a commit that was made and is not shown."""
    return Unavailable(
        f"{name}: storage does not show version {version}, which was committed: too few of the drives that hold it are "
        "there. Bring every node back (`onefold storage status`) and try again; if the bucket was put back to an older "
        "state on purpose, `onefold restore --ledger-from-lake` takes the lake as it is"
    )


def mend(objects: Objects, name: str, version: int) -> None:
    """Put an empty commit where a torn one lies, unless it is there by now. Hold the table's lock."""
    now = int(SystemClock().now().timestamp() * 1000)
    facts = {
        "timestamp": now,
        "operation": "WRITE",
        "operationParameters": {},
        "engineInfo": "onefold: torn commit",
    }
    objects.put_new(log_key(name, version), orjson.dumps({"commitInfo": facts}))


def mend_checkpoint(objects: Objects, name: str, version: int) -> None:
    """Make a checkpoint that was cut off once more, of the commits that it sums up; whoever makes it, it is the same.

    Raises:
        Unavailable: storage does not give all of these commits.
    """
    log = f"{name}/_delta_log"
    file = f"{version:020d}.checkpoint.parquet"
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "_delta_log"
        copy.mkdir()
        for key in objects.keys(log):
            part = key.rpartition("/")[2]
            if part[:20].isdigit() and int(part[:20]) <= version and part != file and (data := objects.get(key)):
                (copy / part).write_bytes(data)
        try:
            DeltaTable(folder, version=version).create_checkpoint()
        except DeltaError as error:
            raise hidden(name, version) from error
        objects.put(f"{log}/{file}", (copy / file).read_bytes())


def log_key(name: str, version: int) -> str:
    """The object of one commit of a table."""
    return f"{name}/_delta_log/{version:020d}.json"
