"""MinIO's public figures: what a cluster says of itself without a key, for who has only the platform's user.

`/minio/v2/metrics/cluster`, where `MINIO_PROMETHEUS_AUTH_TYPE=public` lets services of a private network read them
(as docker-compose.yml does), and `/minio/health/cluster`, which anybody may ask.
"""

from __future__ import annotations

import re
from collections import defaultdict

import urllib3
from urllib3.exceptions import HTTPError

from onefold_storage.capacity import Capacity
from onefold_storage.errors import Unavailable

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SECONDS = urllib3.Timeout(connect=5, read=20)

Figures = dict[str, list[tuple[dict[str, str], float]]]
"""Values by the figure's name, each with its labels."""


def read_figures(endpoint: str) -> Figures | None:
    """The cluster's figures; None where they are not public, or it is another S3 server.

    Raises:
        Unavailable: nothing answers at the endpoint.
    """
    answer = _get(f"{endpoint.rstrip('/')}/minio/v2/metrics/cluster")
    return parse(answer.data.decode()) if answer.status == 200 else None


def health(endpoint: str) -> tuple[bool, int | None]:
    """Whether the cluster can be written to, and drives a write needs in a set (None: another S3 server).

    Raises:
        Unavailable: nothing answers at the endpoint.
    """
    answer = _get(f"{endpoint.rstrip('/')}/minio/health/cluster")
    quorum = answer.headers.get("X-Minio-Write-Quorum")
    return answer.status == 200, int(quorum) if quorum else None


def parse(text: str) -> Figures:
    """Figures of Prometheus' text format; lines that are none are passed over."""
    found: Figures = defaultdict(list)
    for line in text.splitlines():
        if match := _LINE.match(line):
            name, labels, value = match.groups()
            found[name].append((dict(_LABEL.findall(labels or "")), float(value)))
    return dict(found)


def of_figures(figures: Figures) -> Capacity:
    """What the public figures come to: totals, and how many drives each pool's sets have online."""

    def one(name: str) -> int | None:
        values = figures.get(f"minio_cluster_{name}")
        return int(values[0][1]) if values else None

    online, offline = one("drive_online_total") or 0, one("drive_offline_total") or 0
    away = one("nodes_offline_total") or 0
    parity = figures.get("minio_cluster_drive_standard_parity") or figures.get("minio_node_drive_standard_parity")
    told = (
        "each node's and pool's own room: set ONEFOLD_S3_ROOT_USER and ONEFOLD_S3_ROOT_PASSWORD",
    )  # fmt: skip
    return Capacity(
        "cluster",
        one("capacity_usable_total_bytes"),
        one("capacity_usable_free_bytes"),
        nodes_offline=away,
        drives=one("drive_total") or online + offline,
        drives_online=online,
        healing=sum(int(v) for _, v in figures.get("minio_cluster_health_erasure_set_healing_drives", [])),
        parity=int(parity[0][1]) if parity else None,
        objects=one("usage_object_total"),
        versions=one("usage_version_total"),
        unknown=told,
    )


def _get(url: str) -> urllib3.BaseHTTPResponse:
    try:
        return urllib3.request("GET", url, retries=False, timeout=_SECONDS)
    except HTTPError as error:
        where = url.split("/minio/", 1)[0]
        raise Unavailable(
            f"{where}: storage does not answer ({type(error).__name__}); check that it runs"
        ) from None
