"""MinIO's administration over HTTP: information, pools, rebalance, decommission.

The same calls that `mc admin` makes, signed as S3 requests are, so that a flow worker needs no other program.
The MinIO package of Python has no calls for pools, rebalance and decommission. Answers are JSON.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError

from onefold_storage.clock import SystemClock
from onefold_storage.errors import BadInput, Conflict, Forbidden, NotFound, Unavailable
from onefold_storage.settings import StorageSettings

_DENIED = {"AccessDenied", "XMinioAdminNoAccessKey"}
_UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}
_ROOT = "ONEFOLD_S3_ROOT_USER and ONEFOLD_S3_ROOT_PASSWORD"
_PLATFORM = "ONEFOLD_S3_ACCESS_KEY and ONEFOLD_S3_SECRET_KEY"
_BUSY = {
    "XMinioAdminRebalanceAlreadyStarted": "a rebalance is running already",
    "XMinioAdminDecommissionAlreadyRunning": "a pool is being drained already",
    "XMinioAdminDecommissionRebalanceInProgress": "a rebalance is running already",
}


class _StumbledError(Unavailable):
    """The server broke off in the middle, without a word."""


@dataclass(frozen=True)
class AdminApi:
    """The administration of the cluster at one endpoint, as one user, whom the settings `named` name."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    named: str = _ROOT

    @classmethod
    def of(cls, settings: StorageSettings) -> Self | None:
        """As root where the settings name it, else as the platform's user; None where there is no S3 server."""
        if not settings.s3_endpoint or not settings.lake.startswith("s3://"):
            return None
        root = settings.s3_root_user and settings.s3_root_password
        user = settings.s3_root_user if root else settings.s3_access_key
        secret = settings.s3_root_password if root else settings.s3_secret_key
        if not user or not secret:
            return None
        named = _ROOT if root else _PLATFORM
        return cls(settings.s3_endpoint.rstrip("/"), user, secret.get_secret_value(), settings.s3_region, named)

    def information(self) -> dict[str, Any]:
        """Servers, drives, pools and counts."""
        return self._call("GET", "info")  # type: ignore[no-any-return]

    def account(self) -> dict[str, Any]:
        """What this user may reach, and each bucket's size and quota; any user may ask."""
        return self._call("GET", "accountinfo")  # type: ignore[no-any-return]

    def pools(self) -> list[dict[str, Any]]:
        """Each pool in its order: `id`, `cmdline`, and `decommissionInfo` where it was or is being drained."""
        return self._call("GET", "pools/list")  # type: ignore[no-any-return]

    def drain(self, pool: int) -> None:
        """Begin to move everything out of a pool, by its number from 0."""
        self._call("POST", "pools/decommission", {"pool": self._named(pool)})

    def cancel_drain(self, pool: int) -> None:
        """Stop draining a pool; what is in it stays, and it takes no new objects (seen: not after a restart either)."""
        self._call("POST", "pools/cancel", {"pool": self._named(pool)})

    def rebalance(self) -> None:
        """Begin to even out how full the pools are."""
        self._call("POST", "rebalance/start")

    def rebalance_status(self) -> dict[str, Any] | None:
        """The last rebalance: `pools` with their `status` and `progress`; None where there never was one, or where it
        was of a pool that has been taken away since (MinIO stumbles over what it kept of that one).
        """
        try:
            return self._call("GET", "rebalance/status")  # type: ignore[no-any-return]
        except (NotFound, _StumbledError):
            return None

    def stop_rebalance(self) -> None:
        """Stop the rebalance; what was moved stays where it is now."""
        self._call("POST", "rebalance/stop")

    def heal(self, bucket: str, token: str | None = None) -> dict[str, Any]:
        """Begin to look through a bucket and make whole what drives lack; with the answer's `clientToken`: how far.

        One that was begun before, and is not over, is ended for it.
        """
        asked = {"clientToken": token} if token else {"forceStart": "true"}
        body = b"" if token else b'{"recursive":true,"remove":true,"scanMode":1}'
        return self._call("POST", f"heal/{quote(bucket)}/", asked, body)  # type: ignore[no-any-return]

    def _named(self, pool: int) -> str:
        """How the server calls a pool: its arguments, or their hash; numbers are not routed to these calls."""
        return next(str(p["cmdline"]) for p in self.pools() if int(p["id"]) == pool)

    def _call(self, method: str, command: str, query: dict[str, str] | None = None, body: bytes = b"") -> Any:
        url = urlsplit(
            f"{self.endpoint}/minio/admin/v3/{command}?{urlencode(query or {}, quote_via=quote, safe='')}"
        )
        try:
            answer = urllib3.request(
                method, urlunsplit(url), body=body or None, headers=self._signed(method, url, body), retries=False,
                timeout=urllib3.Timeout(connect=5, read=60),
            )  # fmt: skip
        except HTTPError as error:
            raise Unavailable(
                f"{self.endpoint}: storage does not answer ({type(error).__name__}); check that it runs"
            ) from None
        if answer.status in (200, 204):
            return json.loads(answer.data) if answer.data.strip() else None
        raise self._refused(command, answer.status, answer.data)

    def _signed(self, method: str, url: Any, body: bytes) -> dict[str, str]:
        from minio.credentials.credentials import Credentials
        from minio.signer import sign_v4_s3
        from minio.time import to_amz_date

        now: datetime = SystemClock().now()  # a signature is of the machine's time, whatever the platform's is
        content = hashlib.sha256(body).hexdigest()
        headers = {"Host": url.netloc, "x-amz-content-sha256": content, "x-amz-date": to_amz_date(now)}
        signed = sign_v4_s3(
            method=method, url=url, region=self.region, headers=dict(headers), date=now, content_sha256=content,
            credentials=Credentials(self.access_key, self.secret_key),
        )  # fmt: skip
        return {k: str(v) for k, v in signed.items()}

    def _refused(self, command: str, status: int, body: bytes) -> Exception:
        try:
            said = json.loads(body)
            code, message = str(said.get("Code") or ""), str(said.get("Message") or "")
        except (ValueError, AttributeError):
            code, message = "", ""
        if code in _UNKNOWN:
            return Forbidden(f"{self.endpoint}: the credentials are refused ({code}); check {self.named}")
        if code in _DENIED or status == 403:
            return Forbidden(f"{self.endpoint}: this user may not ask for {command}; set {_ROOT}")
        if code in _BUSY:
            return Conflict(f"{self.endpoint}: {_BUSY[code]}; wait until it is done, or stop it")
        if "NotStarted" in code or status == 404:
            return NotFound(f"{self.endpoint}: {command}: {message or 'nothing there'}")
        if code == "NotImplemented" or status == 501:
            return Conflict(f"{self.endpoint}: {command} needs a cluster of two pools or more; add one first")
        if status == 500 and not code:
            return _StumbledError(
                f"{self.endpoint}: {command}: storage stumbled; see the nodes' logs, and try again"
            )
        if status >= 500:
            return Unavailable(f"{self.endpoint}: {command}: {message or status}; try again")
        return BadInput(f"{self.endpoint}: {command}: {message or code or status}")
