"""The lake's bucket on a MinIO server: made, bounded, and opened to one user who may reach nothing else.

Whoever is allowed to make buckets and users (the administrator) is needed here alone; the platform works as the
application user. Done again, nothing changes. Nothing of what a bucket holds is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from onefold_storage.errors import BadInput, Conflict, Forbidden, Unavailable
from onefold_storage.settings import StorageSettings

if TYPE_CHECKING:
    from minio import Minio, MinioAdmin

KEEP_DAYS = 1
"""Days after which versions that are no longer current, and uploads that did not end, are removed."""
_RULE = "onefold"
_TRIES = 12
"""How often the server is asked again that answers with an error of its own."""
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_TAKEN = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


@dataclass(frozen=True)
class Bucket:
    """What the lake's bucket is now. `quota`: bytes, None for no bound; `changed`: what was done, empty the next time.

    `versioning`: `Off`, `Enabled` or `Suspended`, as somebody set it.
    """

    name: str
    endpoint: str
    user: str
    policy: str
    versioning: str
    quota: int | None
    changed: tuple[str, ...]

    @property
    def warning(self) -> str | None:
        """What a person should know about it."""
        if self.versioning == "Off":
            return None
        return (
            f"{self.name}: somebody switched versioning on ({self.versioning}); erasures remove old versions, and the "
            f"others go after {KEEP_DAYS} day, which doubles the room that changing tables take"
        )


def bucket_of(settings: StorageSettings) -> str:
    """The name of the lake's bucket.

    Raises:
        BadInput: the lake is no bucket.
    """
    if not settings.lake.startswith("s3://"):
        raise BadInput("the lake is a folder, not a bucket; set ONEFOLD_LAKE_URL to s3://BUCKET/PREFIX")
    return urlsplit(settings.lake).netloc


def policy_for(bucket: str) -> dict[str, Any]:
    """What the application user may do: everything that the lake needs in its bucket, and nothing anywhere else."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetBucketLocation",
                    "s3:GetBucketVersioning",
                    "s3:ListBucket",
                    "s3:ListBucketMultipartUploads",
                    "s3:ListBucketVersions",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:DeleteObjectVersion",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            },
        ],
    }


def prepare(settings: StorageSettings, quota: int | None = None) -> Bucket:
    """Make the bucket, its rules and the application user, where they are not so already.

    `quota`: most bytes that the bucket may hold, 0 for no bound, None to leave what is set.

    Raises:
        BadInput: a setting is missing or is none that a server could have.
        Conflict: the bucket is locked against deletion, so that nobody could be erased from it.
        Forbidden: the administrator's credentials are refused. Unavailable: the server does not answer.
    """
    name = bucket_of(settings)
    user, secret = _application_user(settings)
    root = _administrator(settings)
    own = _client(settings, user, secret)
    with _told(settings, "ONEFOLD_S3_ROOT_USER and ONEFOLD_S3_ROOT_PASSWORD"):
        client, admin = _client(settings, *root), _admin(settings, *root)
        changed = [*_bucket(client, name), *_lifecycle(client, name), *_quota(admin, name, quota)]
        changed += _user(admin, own, name, user, secret)
        versioning = client.get_bucket_versioning(name).status
        bound = int(json.loads(admin.bucket_quota_get(name)).get("quota") or 0) or None
    with _told(settings, "ONEFOLD_S3_ACCESS_KEY and ONEFOLD_S3_SECRET_KEY"):
        next(iter(own.list_objects(name)), None)  # the user can work here
    return Bucket(
        name, str(settings.s3_endpoint), user, _policy_name(name), versioning or "Off", bound, tuple(changed)
    )


def _bucket(client: Minio, name: str) -> list[str]:
    from minio.error import S3Error

    if not client.bucket_exists(name):
        try:
            client.make_bucket(name)
        except S3Error as error:  # another process was faster
            if error.code not in _TAKEN:
                raise
        return ["bucket"]
    try:
        locked = client.get_object_lock_config(name)
    except S3Error as error:
        if error.code != "ObjectLockConfigurationNotFoundError":
            raise
        return []
    if locked.mode:
        raise Conflict(
            f"{name}: objects are locked against deletion here ({locked.mode}), so nobody could be erased; "
            "take another bucket, or remove its default retention"
        )
    return []


def _lifecycle(client: Minio, name: str) -> list[str]:
    """One rule of ours beside what others set. MinIO drops unfinished uploads by itself, after a day as well."""
    from minio.commonconfig import ENABLED, Filter
    from minio.lifecycleconfig import (
        AbortIncompleteMultipartUpload,
        LifecycleConfig,
        NoncurrentVersionExpiration,
        Rule,
    )

    standing = client.get_bucket_lifecycle(name)
    others = [r for r in standing.rules if r.rule_id != _RULE] if standing else []
    ours = [r for r in standing.rules if r.rule_id == _RULE] if standing else []
    if any(
        (e := r.noncurrent_version_expiration) and e.noncurrent_days == KEEP_DAYS and r.status == ENABLED
        for r in ours
    ):
        return []
    rule = Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id=_RULE,
        noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=KEEP_DAYS),
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=KEEP_DAYS),
    )
    client.set_bucket_lifecycle(name, LifecycleConfig([*others, rule]))
    return ["lifecycle"]


def _quota(admin: MinioAdmin, name: str, quota: int | None) -> list[str]:
    if quota is None or int(json.loads(admin.bucket_quota_get(name)).get("quota") or 0) == quota:
        return []
    admin.bucket_quota_set(name, quota)
    return ["quota"]


def _user(admin: MinioAdmin, own: Minio, bucket: str, user: str, secret: str) -> list[str]:
    """The user with this secret, enabled, with our policy and no other."""
    changed = []
    policy, wanted = _policy_name(bucket), policy_for(bucket)
    if _meaning(json.loads(admin.policy_list()).get(policy)) != _meaning(wanted):
        admin.policy_add(policy, policy=wanted)
        changed.append("policy")
    standing = json.loads(admin.user_list()).get(user) or {}
    if standing.get("status") != "enabled" or not _opens(own):
        admin.user_add(user, secret)
        changed.append("user")
    if standing.get("policyName") != policy:
        admin.policy_set(policy, user=user)
        changed.append("permission")
    return changed


def _opens(own: Minio) -> bool:
    """Whether the user has this secret already, whatever they may do."""
    from minio.error import S3Error

    try:
        own.list_buckets()
    except S3Error as error:
        return error.code == "AccessDenied"
    return True


def _policy_name(bucket: str) -> str:
    return f"onefold-{bucket}"


def _meaning(policy: Any) -> Any:
    """A policy without the order of its lists, which a server does not keep."""
    if isinstance(policy, dict):
        return {k: _meaning(v) for k, v in policy.items()}
    return sorted(map(_meaning, policy), key=repr) if isinstance(policy, list) else policy


def _administrator(settings: StorageSettings) -> tuple[str, str]:
    if not settings.s3_root_user or not settings.s3_root_password:
        raise BadInput(
            "the administrator of the S3 server is needed to make a bucket and a user; set ONEFOLD_S3_ROOT_USER "
            "and ONEFOLD_S3_ROOT_PASSWORD for this command alone"
        )
    return settings.s3_root_user, settings.s3_root_password.get_secret_value()


def _application_user(settings: StorageSettings) -> tuple[str, str]:
    if not settings.s3_access_key or not settings.s3_secret_key:
        raise BadInput(
            "the platform's own user has no name yet; set ONEFOLD_S3_ACCESS_KEY (3 characters or more) and "
            "ONEFOLD_S3_SECRET_KEY (8 or more), as the platform will have them"
        )
    user, secret = settings.s3_access_key, settings.s3_secret_key.get_secret_value()
    if len(user) < 3 or len(secret) < 8:
        raise BadInput("ONEFOLD_S3_ACCESS_KEY needs 3 characters or more, ONEFOLD_S3_SECRET_KEY 8 or more")
    if user == settings.s3_root_user:
        raise BadInput("ONEFOLD_S3_ACCESS_KEY is the administrator; the platform works as a user of its own")
    return user, secret


def _connection(settings: StorageSettings) -> dict[str, Any]:
    """What both clients are made with: where, and how long to wait and how often to ask again."""
    from urllib3 import PoolManager, Retry, Timeout

    at = urlsplit(settings.s3_endpoint or "")
    if not at.hostname:
        raise BadInput("ONEFOLD_S3_ENDPOINT is not set: expected http(s)://HOST:PORT of an S3 server")
    often = max(1, round(settings.s3_patience / settings.s3_timeout))
    again = Retry(
        total=_TRIES,
        connect=often,
        read=often,
        backoff_factor=0.1,
        backoff_max=5,
        status_forcelist=[500, 502, 503, 504],
        allowed_methods=None,
    )
    waits = Timeout(connect=min(5.0, settings.s3_timeout), read=settings.s3_timeout)
    pool = PoolManager(timeout=waits, retries=again)
    return {
        "endpoint": at.netloc.rpartition("@")[2],
        "secure": at.scheme == "https",
        "region": settings.s3_region,
        "http_client": pool,
    }


def _client(settings: StorageSettings, user: str, secret: str) -> Minio:
    from minio import Minio

    return Minio(access_key=user, secret_key=secret, **_connection(settings))


def _admin(settings: StorageSettings, user: str, secret: str) -> MinioAdmin:
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider

    return MinioAdmin(credentials=StaticProvider(user, secret), **_connection(settings))


def _shown(settings: StorageSettings) -> str:
    """The endpoint as far as it may be told: without a name and password that somebody put into it."""
    return (settings.s3_endpoint or "nothing").rpartition("@")[2]


@contextmanager
def _told(settings: StorageSettings, credentials: str) -> Iterator[None]:
    """Say in the floor's own words what the server or the way to it did wrong."""
    from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
    from urllib3.exceptions import HTTPError

    at = _shown(settings)
    try:
        yield
    except S3Error as error:
        raise _refused(at, credentials, str(error.code), str(error.message)) from None
    except MinioAdminException as error:
        raise _refused(at, credentials, *_of_admin(error)) from None
    except InvalidResponseError:
        raise BadInput(f"{at}: answers, but not as an S3 server does; check ONEFOLD_S3_ENDPOINT") from None
    except (ServerError, HTTPError) as error:
        cause = getattr(error, "reason", None) or error
        raise Unavailable(
            f"{at}: storage does not answer ({type(cause).__name__}); check ONEFOLD_S3_ENDPOINT, and that it runs"
        ) from None


def _of_admin(error: Exception) -> tuple[str, str]:
    """Code and message of a refused call to MinIO's administration."""
    try:
        body = json.loads(getattr(error, "_body", "") or "{}")
        return str(body.get("Code") or ""), str(body.get("Message") or "")
    except (ValueError, AttributeError):
        return "", "its administration answers in no way that MinIO does"


def _refused(at: str, credentials: str, code: str, message: str) -> Exception:
    if code in _DENIED:
        return Forbidden(f"{at}: the credentials are refused ({code}); check {credentials}")
    if code in ("SlowDown", "XMinioServerNotInitialized", "ServiceUnavailable"):
        return Unavailable(f"{at}: storage is not ready ({code}); try again later")
    return BadInput(f"{at}: {message.rstrip('.') or code or 'the request was refused'} ({code})")
