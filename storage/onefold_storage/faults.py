"""What object storage says when it refuses or is away, in this floor's own words.

The engines (delta-rs, Polars, s3fs) each tell it their way, mostly as text; here it becomes an error that a user can
act on. No message holds a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from onefold_storage.errors import Forbidden, Full, NotFound, OnefoldError, Unavailable

_ENGINES = ("Generic S3 error", "object-store error", "Kernel error", "Error performing ", "AWS Error")
_LIBRARIES = ("botocore.", "aiohttp.", "s3fs.")
_PLACE = re.compile(r"(https?://)(?:[^/\s@]*@)?([^/\s?]+)(?:/([^/?\s]+))?")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>|AWS Error ([A-Z_]+)")
_LOST = re.compile(r"(?:File not found:|Object at location) (\S*_delta_log/\S+|\S+\.parquet)")
_REFUSED = (
    "403 Forbidden",
    "(HTTP status 403)",
    "lacked the necessary privileges",
    "lacked valid authentication",
    "AWS Error ACCESS_DENIED",
)
_NO_ROOM = ("XMinioStorageFull", "507 Insufficient Storage", "QuotaExceeded", "minimum free drive threshold")


@contextmanager
def told() -> Iterator[None]:
    """Raise what storage did wrong as one of the floor's errors; also a decorator."""
    try:
        yield
    except OnefoldError:
        raise
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault from error


def fault_of(error: BaseException) -> OnefoldError | None:
    """The error that says what storage did, None where the error is none of storage's."""
    text = str(error)
    library = type(error).__module__.startswith(_LIBRARIES) or type(error.__cause__).__module__.startswith(
        _LIBRARIES
    )
    if not library and not any(mark in text for mark in _ENGINES):
        return None
    code = (found[1] or found[2]) if (found := _CODE.search(text)) else ""
    place, bucket = _place(text)
    if "RequestTimeTooSkewed" in text:
        return Unavailable(f"{place}: the clock of storage and that of this machine differ by a quarter of an hour")
    if any(mark in text for mark in _NO_ROOM):
        return Full(
            f"{place}: storage has no room left{bucket}, or one of its drives has none: see `onefold storage status` and "
            "`onefold storage plan`"
        )
    if code in ("NoSuchBucket", "NO_SUCH_BUCKET"):
        return NotFound(
            f"{place}: no such bucket{bucket}; `onefold storage init` makes it, or check ONEFOLD_LAKE_URL"
        )
    if isinstance(error, PermissionError) or any(mark in text for mark in _REFUSED):
        return Forbidden(
            f"{place}: storage refuses what was asked{bucket}{f' ({code})' if code else ''}; check "
            "ONEFOLD_S3_ACCESS_KEY, ONEFOLD_S3_SECRET_KEY, and the bucket in ONEFOLD_LAKE_URL"
        )
    if lost := _LOST.search(text):
        return Unavailable(
            f"storage lists {lost[1]} and cannot give it: too few of the drives that hold it are there; bring every node "
            "back (`onefold storage status`), then try again"
        )
    if isinstance(error, FileNotFoundError) or "404 Not Found" in text:
        return None  # an object, of which the caller knows whether it should be there
    return Unavailable(f"{place}: storage does not answer as it should{bucket}; check that it runs, and try again")


def _place(text: str) -> tuple[str, str]:
    found = _PLACE.search(text)
    if not found:
        return "object storage", ""
    return f"{found[1]}{found[2]}", f" (bucket {found[3]})" if found[3] else ""
