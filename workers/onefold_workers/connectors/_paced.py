"""How fast a server may be asked: the options that connectors share."""

from __future__ import annotations

from pydantic import Field

from onefold_storage.pace import Pace
from onefold_workers.connectors._connector import Options


class PacedOptions(Options):
    """`requests_per_second`, `bytes_per_second`: how fast the server may be asked, where it needs to be spared."""

    requests_per_second: float | None = Field(default=None, gt=0)
    bytes_per_second: float | None = Field(default=None, gt=0)

    @property
    def paced(self) -> bool:
        """Whether there is a limit."""
        return self.requests_per_second is not None or self.bytes_per_second is not None


class Paces:
    """The pace of the requests to one server, and that of the bytes it sends."""

    def __init__(self, options: PacedOptions) -> None:
        self.requests, self.bytes = Pace(options.requests_per_second), Pace(options.bytes_per_second)
