"""Asks for the room there is now, of whoever can tell: MinIO's administration, its public figures, the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from onefold_storage.capacity import Capacity, of_disk, of_information
from onefold_storage.errors import BadInput, Forbidden, NotFound
from onefold_storage.expansion import drains
from onefold_storage.minio_admin import AdminApi
from onefold_storage.minio_figures import of_figures, read_figures
from onefold_storage.settings import StorageSettings

_NOTHING = (
    "the room there is: this S3 server tells it neither to this user nor in public figures; set "
    "ONEFOLD_S3_ROOT_USER and ONEFOLD_S3_ROOT_PASSWORD, or let MinIO's figures be read (MINIO_PROMETHEUS_AUTH_TYPE)",
)  # fmt: skip


def room(settings: StorageSettings) -> Capacity:
    """The capacity of the storage that holds the lake; what nobody told stands in `unknown`.

    Raises:
        Unavailable: nothing answers at the endpoint.
    """
    if not settings.lake.startswith("s3://"):
        return of_disk(Path(settings.lake))
    api = AdminApi.of(settings)
    found = _of_cluster(settings, api)
    return replace(found, **_quota(settings, api)) if api else found


def _of_cluster(settings: StorageSettings, api: AdminApi | None) -> Capacity:
    refused: tuple[str, ...] = ()
    if api:
        try:
            given_up = {s.pool - 1 for s in drains(api)}
            return of_information(api.information()).without(given_up)
        except (Forbidden, NotFound, BadInput) as error:  # what is public may tell
            if isinstance(error, Forbidden) and settings.s3_root_user:
                refused = (str(error),)  # told instead of the advice to name root
    figures = read_figures(settings.s3_endpoint) if settings.s3_endpoint else None
    found = of_figures(figures) if figures else Capacity("server", None, None, unknown=_NOTHING)
    return replace(found, unknown=refused) if refused else found


def _quota(settings: StorageSettings, api: AdminApi) -> dict[str, Any]:
    """The bucket's size and quota as the server counts them (its scanner is minutes behind)."""
    bucket = settings.lake.removeprefix("s3://").split("/", 1)[0]
    try:
        buckets = api.account().get("Buckets") or []
    except (Forbidden, NotFound, BadInput):
        return {}
    for known in buckets:
        if known.get("name") == bucket:
            limit = ((known.get("details") or {}).get("quota") or {}) or {}
            quota = int(limit.get("size") or limit.get("quota") or 0)
            return {"quota_bytes": quota or None, "bucket_bytes": int(known.get("size") or 0)}
    return {}
