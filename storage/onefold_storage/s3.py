"""The way to a bucket: one file system for objects, and how patient it and the table engines are.

A request that is not answered, or with an error of the server's own, is sent again for a while, and then given up;
none waits for ever. (aiohttp starts to count only once a request is sent, and a server that stalls before that
would be waited for without end.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import IncompleteRead
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from s3fs.errors import translate_boto_error

from onefold_storage.errors import Forbidden, NotFound, Unavailable
from onefold_storage.settings import FOR_BACKUPS, patience_of

_SLOWEST = 256 * 1024
"""Bytes a second that a body takes at least, on top of the wait for the answer."""
_BACKOFF = 5.0
_RESTART = 15.0
"""Seconds for which a connection that is refused is tried again: a server that restarts is back by then."""
_PASSING = (
    HTTPClientError,
    EndpointConnectionError,
    ResponseParserError,
    IncompleteRead,
    TimeoutError,
    ConnectionError,
)
_AGAIN = {"SlowDown", "RequestTimeout", "XAmzContentSHA256Mismatch", "429"}
_THERE = 412
_NEVER = {501, 507}
"""Statuses above 500 that asking again does not change: not known to the server, no room."""


@dataclass(frozen=True)
class _Hints:
    """What to look at where a bucket is not there, refuses, or its server does not answer."""

    bucket: str
    keys: str
    server: str


_HINTS = _Hints(
    "`onefold storage init` makes it, or check ONEFOLD_LAKE_URL",
    "check ONEFOLD_S3_ACCESS_KEY, ONEFOLD_S3_SECRET_KEY, and the bucket in ONEFOLD_LAKE_URL",
    "check ONEFOLD_S3_ENDPOINT, and that it runs",
)
_BACKUP_HINTS = _Hints(
    "make it on the backups' server, or check the place that was named for backups (ONEFOLD_BACKUP_URL)",
    "check ONEFOLD_BACKUP_S3_ACCESS_KEY and ONEFOLD_BACKUP_S3_SECRET_KEY (the lake's, ONEFOLD_S3_…, where they are not "
    "set), and the bucket of the backups (ONEFOLD_BACKUP_URL)",
    "check ONEFOLD_BACKUP_S3_ENDPOINT (ONEFOLD_S3_ENDPOINT, where it is not set), and that it runs",
)


class PatientS3(S3FileSystem):  # type: ignore[misc]
    """s3fs, which asks again within `patience` seconds; each time it waits `timeout` seconds for an answer.

    `backups`: it is the way to backups, and what is wrong is to be looked for in their settings.
    """

    retries = 2  # of a body that breaks off while it is read; requests are `_call_s3`'s
    protocol = ("s3",)

    def __init__(self, *, timeout: float, patience: float, backups: bool = False, **given: Any) -> None:
        super().__init__(**given)
        self._timeout, self._patience = timeout, patience
        self._hints = _BACKUP_HINTS if backups else _HINTS

    async def _call_s3(self, method: str, *given: Any, **asked: Any) -> Any:
        await self.set_session()
        call = getattr(await self.get_s3(asked.get("Bucket")), method)
        wanted = self._get_s3_method_kwargs(call, *given, **asked)
        body = wanted.get("Body") or b""
        limit = self._timeout + (len(body) / _SLOWEST if hasattr(body, "__len__") else 0)
        clock = asyncio.get_running_loop().time
        began, attempt = clock(), 0
        end = began + self._patience
        while True:
            try:
                return _whole(method, await asyncio.wait_for(call(**wanted), limit))
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code == "NoSuchBucket":
                    raise NotFound(f"there is no bucket {asked.get('Bucket')}; {self._hints.bucket}") from error
                if _status(error) == 403:
                    raise Forbidden(
                        f"{self.client_kwargs.get('endpoint_url', 'S3')}: storage refuses what was asked of the bucket "
                        f"{asked.get('Bucket')} ({code}); {self._hints.keys}"
                    ) from error
                if not _may_pass(code, error):
                    raise translate_boto_error(error) from error
                if clock() >= end:
                    raise Unavailable(f"storage answers {code} again and again; see what ails it") from error
            except _PASSING as error:
                if isinstance(error, EndpointConnectionError):
                    end = min(end, began + _RESTART)
                if clock() >= end:
                    raise Unavailable(
                        f"{self.client_kwargs.get('endpoint_url', 'S3')}: storage does not answer "
                        f"({type(error).__name__}); {self._hints.server}"
                    ) from error
            await asyncio.sleep(min(0.05 * 2**attempt, _BACKOFF))
            attempt += 1

    call_s3 = sync_wrapper(_call_s3)

    def holds(self, path: str) -> bool:
        """Whether there is an object below a path."""
        bucket, prefix, _ = self.split_path(path)
        found = self.call_s3("list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/", MaxKeys=1)
        return bool(found.get("KeyCount") or found.get("Contents"))

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless there is one, and say whether it was written; also where the answer was lost."""
        bucket, key, _ = self.split_path(path)
        try:
            self.call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
        except OSError as error:
            if not isinstance(error.__cause__, ClientError) or _status(error.__cause__) != _THERE:
                raise
            return False
        return True

    def forget_versions(self, path: str) -> int:
        """Remove what is no longer current below a path, where somebody versions the bucket; returns how much.

        Old versions go first: a mark of deletion that went before them would bring one back.
        """
        bucket, prefix, _ = self.split_path(path)
        gone = 0
        for kind in ("Versions", "DeleteMarkers"):
            for page in self._pages(bucket, prefix):
                old = [v for v in page.get(kind, []) if kind == "DeleteMarkers" or not v["IsLatest"]]
                if old:
                    names = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in old]
                    self.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": names, "Quiet": True})
                    gone += len(old)
        return gone

    def _pages(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        at: dict[str, str] = {}
        while True:
            page = self.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, MaxKeys=1000, **at)
            yield page
            if not page.get("IsTruncated"):
                return
            at = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker") or ""}


def _whole(method: str, answer: Any) -> Any:
    """The answer; a deletion of many objects says in it which of them it refused, and s3fs does not look.

    Raises:
        Forbidden: objects were not deleted.
    """
    refused = answer.get("Errors") if method == "delete_objects" else None
    if refused:
        raise Forbidden(
            f"storage keeps {len(refused)} objects that were to be deleted ({refused[0].get('Code')}, "
            f"{refused[0].get('Key')} first); the bucket locks them, or the user of the lake may not delete them"
        )
    return answer


def _may_pass(code: str, error: ClientError) -> bool:
    status = _status(error)
    return code in _AGAIN or (status >= 500 and status not in _NEVER)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def file_system(options: dict[str, str]) -> PatientS3:
    """The file system that storage options name (see `StorageSettings.options_for`).

    On a server of one's own, buckets are part of the path: their names are seldom known to the name service.
    """
    endpoint = options.get("AWS_ENDPOINT_URL")
    client = {"region_name": options.get("AWS_REGION", "us-east-1")}
    timeout = float(options.get("timeout", "30s").rstrip("s"))
    return PatientS3(
        timeout=timeout,
        patience=patience_of(options),
        backups=FOR_BACKUPS in options,
        key=options.get("AWS_ACCESS_KEY_ID"),
        secret=options.get("AWS_SECRET_ACCESS_KEY"),
        client_kwargs=client | ({"endpoint_url": endpoint} if endpoint else {}),
        config_kwargs={
            "connect_timeout": min(timeout, 5.0),
            "read_timeout": timeout,
            "retries": {"total_max_attempts": 1, "mode": "standard"},
        }
        | ({"s3": {"addressing_style": "path"}} if endpoint else {}),
        use_listings_cache=False,
    )
