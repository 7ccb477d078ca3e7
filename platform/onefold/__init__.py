"""The face: command line, results API, pages and the demo; and `open()`, for notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onefold.notebook import Notebook


def open(home: Path | str | None = None) -> Notebook:
    """Open an installation for reading, as in a notebook.

    Args:
        home: its folder; by default what `ONEFOLD_HOME` says, else `.onefold`.

    Raises:
        NotFound: there is no installation in that folder.
    """
    from onefold.notebook import Notebook  # here, so that `import onefold` stays quick

    return Notebook.at(home)
