"""Tracking events as SDKs send them (`POST /v1/track`, `/v1/batch`, …): nothing lies anywhere to be read."""

from __future__ import annotations

from onefold_storage.sending import TrackingOptions
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors.http import deliveries, sample


class TrackingSource(Options, TrackingOptions):
    """The options, which the contract was checked against."""


CONNECTOR = Connector("tracking", TrackingSource, (), deliveries, sample)
