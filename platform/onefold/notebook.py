"""An installation as one reads it in a notebook: tables, customers, and what models came to.

import onefold
home = onefold.open()
home.table("silver/interactions").current().polars()   # of each record the row that stands; without it, every version
home.table("silver/contact_records", as_of="2017-06-30").pandas()
home.customer("…").profile
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from onefold.customer_view import CustomerView, customer_view
from onefold.table_view import TableView
from onefold_storage.as_of import moment
from onefold_storage.errors import BadInput, NotFound
from onefold_storage.installation import Installation
from onefold_storage.schema import TABLES
from onefold_storage.settings import StorageSettings
from onefold_storage.status import MODELS, status

When = str | date | datetime
"""A date or time; a day stands for its end, in UTC."""


@dataclass(frozen=True)
class Notebook:
    """Everything that one installation holds, for reading."""

    installation: Installation

    @classmethod
    def at(cls, home: Path | str | None = None) -> Self:
        """The installation in a folder.

        Raises:
            NotFound: there is none.
        """
        settings = StorageSettings() if home is None else StorageSettings(home=Path(home))
        if settings.lake_url is None and not settings.root.is_dir():
            raise NotFound(f"{settings.root}: no installation here; `onefold demo` or `onefold init` makes one")
        return cls(Installation(settings))

    @property
    def tables(self) -> list[str]:
        """Names of the tables that are there."""
        return self.installation.lake.names()

    def table(self, name: str, *, version: int | None = None, as_of: When | None = None) -> TableView:
        """One table, as `.arrow()`, `.polars()`, `.pandas()` or `.dask()`; of silver, all versions: see `.current()`.

        Args:
            name: layer first, such as `silver/interactions`.
            version: the Delta version to read; the newest by default. Old ones are vacuumed away after days.
            as_of: only what held then, told from the rows.

        Raises:
            NotFound: no such table. BadInput: both a version and a date, or the table keeps no validity.
        """
        if version is not None and as_of is not None:
            raise BadInput("give a version or a date: what held at a date is told from the newest version's rows")
        if name not in TABLES and not self.installation.lake.exists(name):
            raise NotFound(f"{name}: no such table; there are {', '.join(self.tables) or 'none'}")
        at = None if as_of is None else moment(as_of)
        view = TableView(self.installation, name, version, at)
        view.polars()  # says at once what cannot be read
        return view

    def customer(self, golden_id: str, *, as_of: When | None = None) -> CustomerView:
        """A customer with everything known; a merged golden ID answers with its survivor.

        Raises:
            NotFound: no customer has (or, as of the date, had) this golden ID.
        """
        return customer_view(self.installation, golden_id, None if as_of is None else moment(as_of))

    def model(self, name: str) -> dict[str, Any]:
        """The figures of a model's champion: version, metric, value, baseline, interval, and the rest.

        Raises:
            NotFound: no such model was trained.
        """
        figures = orjson.loads(self.installation.lake.objects.get(MODELS) or b"[]")
        for found in figures:
            if found.get("name") == name:
                return dict(found)
        known = ", ".join(str(f.get("name")) for f in figures) or "none"
        raise NotFound(f"{name}: no such model was trained; there are {known}")

    def status(self) -> dict[str, Any]:
        """What `onefold status --json` prints."""
        return status(self.installation)
