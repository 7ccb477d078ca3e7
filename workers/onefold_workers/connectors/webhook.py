"""Webhooks that other systems send, signed (`POST /v1/webhooks/{source}`): nothing lies anywhere to be read."""

from __future__ import annotations

from onefold_storage.sending import WebhookOptions
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors.http import deliveries, sample


class WebhookSource(Options, WebhookOptions):
    """The options, which the contract was checked against."""


CONNECTOR = Connector("webhook", WebhookSource, (), deliveries, sample)
