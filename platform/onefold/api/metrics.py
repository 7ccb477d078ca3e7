"""GET /metrics: figures for Prometheus, by route and publication; no label holds an identifier."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from onefold.api.answers import PROBLEMS
from onefold.api.auth import needs
from onefold.api.context import Shared
from onefold.api.ingest_log import Figures

router = APIRouter(tags=["operation"])

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The figures of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events: _Events | None = None
        labels = ("method", "route")
        self._requests = Counter(
            "onefold_requests", "Requests by route and status", (*labels, "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "onefold_request_seconds", "Time to answer", labels, buckets=_SECONDS, registry=self.registry
        )
        self.customers = Gauge("onefold_publication_customers", "Customers published", registry=self.registry)
        self.built = Gauge(
            "onefold_publication_built_timestamp_seconds",
            "When it was built, platform time",
            registry=self.registry,
        )
        self.problem = Gauge(
            "onefold_publication_problem", "1 where the newest publication cannot be served", registry=self.registry
        )
        self.objections = Gauge("onefold_live_wishes", "Wishes recorded so far", registry=self.registry)

    def follow(self, figures: Figures) -> None:
        """Tell these figures of events too."""
        if self._events:
            self.registry.unregister(self._events)
        self._events = _Events(figures)
        self.registry.register(self._events)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        known = method if method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE") else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)


class _Events(Collector):
    """The write-ahead log of events, as it is when somebody asks."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Counters since this process began, and what waits on its volume."""
        f, depth = self._figures, self._figures.depth
        for name, said, value in (
            ("onefold_ingest_events", "Events taken", f.events),
            (
                "onefold_ingest_refused",
                "Requests refused: the log was full, or a key came with other events",
                f.refused,
            ),
            ("onefold_ingest_syncs", "Groups of requests written and synced together", f.groups),
            ("onefold_ingest_landed", "Events committed to the lake", f.committed),
            ("onefold_ingest_failed", "Events kept as failed events", f.failed),
        ):
            yield CounterMetricFamily(name, said, value=value)
        for name, said, counts in (
            ("onefold_tracking_suppressed", "Tracking events that are not kept, by reason", f.suppressed),
            ("onefold_tracking_withheld", "Tracking events kept without their person, by reason", f.withheld),
        ):
            family = CounterMetricFamily(name, said, labels=["reason"])
            for reason, value in counts.items():
                family.add_metric([reason], value)
            yield family
        for name, said, size in (
            ("onefold_spool_bytes", "Bytes that wait in the log", depth.bytes),
            ("onefold_spool_segments", "Segments that wait in the log", depth.segments),
            ("onefold_spool_oldest_seconds", "Age of the oldest segment", depth.oldest),
            ("onefold_spool_problem", "1 while the log cannot be drained", float(f.problem is not None)),
        ):
            yield GaugeMetricFamily(name, said, value=size)
        held = GaugeMetricFamily("onefold_spool_held_bytes", "Bytes held until a contract fits", labels=["source"])
        for source, size in depth.held.items():
            held.add_metric([source], size)
        yield held


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses=PROBLEMS | {200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}},
    dependencies=[needs("read:metrics")],
)
def metrics(request: Request, shared: Shared) -> Response:
    """Requests, latencies and the publication that is served, in Prometheus' text format."""
    kept: Metrics = request.app.state.metrics
    kept.problem.set(shared.serving.problem is not None)
    kept.objections.set(shared.ledger.wishes.revision())
    if shared.serving.version is not None:
        snapshot = shared.serving.view().snapshot
        kept.customers.set(snapshot.counts["customers"])
        kept.built.set(snapshot.publication.built_at.timestamp())
    return Response(generate_latest(kept.registry), media_type=CONTENT_TYPE_LATEST)
