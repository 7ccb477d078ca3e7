"""How fast each source may send, where its contract bounds that: what is beyond it is refused before it is kept."""

from __future__ import annotations

from onefold_storage.contracts import Contract
from onefold_storage.errors import TooMany
from onefold_storage.pace import Pace
from onefold_storage.sending import SENT


class Rates:
    """Paces by source, of this process."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def admit(self, contract: Contract, events: int) -> None:
        """Count the events of a request against its source's rate.

        Raises:
            TooMany: those before are not yet paid for.
        """
        rate = SENT[contract.rules.connector].model_validate(contract.rules.options).events_per_second
        pace = self._paces.get(contract.id)
        if pace is None or pace.per_second != rate:
            pace = self._paces[contract.id] = Pace(rate)
        if owed := pace.owed():
            raise TooMany(f"{contract.id}: expected at most {rate:g} events a second; send these again later", owed)
        pace.take(events)
