"""`onefold rollback`: an earlier publication is served again, without those who objected since."""

from __future__ import annotations

from typing import Annotated

import typer

from onefold.terminal import out, print_json, waiting

Version = Annotated[
    str | None, typer.Argument(help="The publication to serve again; the one before the current, when left out.")
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


def rollback(version: Version = None, json: Json = False) -> None:
    """Serve an earlier publication again, as a new version.

    Whoever may not be contacted today is not contacted by it. What was served before is published again only when
    something has changed in the lake, or by naming its version here.
    """
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings
    from onefold_workers.stages.rolling_back import roll_back

    installation = Installation(StorageSettings())
    with waiting("closing the earlier publication by today's permissions"):
        done = roll_back(installation, version)
    if json:
        told = {"version": done.publication.version, "rollback_of": done.of, "instead_of": done.instead_of}
        print_json(told | {"closed": done.closed})
        return
    out.print(
        f"publication {done.publication.version} serves {done.of} again, instead of {done.instead_of}; "
        f"{done.closed:,} customers may be contacted less than it said"
    )
