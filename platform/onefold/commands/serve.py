"""`onefold serve`: the API, and with `--flows` the Prefect server and the runner of schedules."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from onefold.terminal import out
from onefold_storage.errors import Unavailable

if TYPE_CHECKING:
    from onefold_flows.server import PrefectServer
    from onefold_storage.settings import StorageSettings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    flows: Annotated[bool, typer.Option(help="Also run the Prefect server and the schedules.")] = False,
) -> None:
    """Serve the published results."""
    from onefold_storage.settings import StorageSettings

    settings = StorageSettings()
    if not flows:
        _api(settings, host, port)
        return
    from onefold_flows import server

    prefect = server.start(settings.root)
    try:
        prefect.wait()
        serve_all(settings, prefect, host=host, port=port)
    finally:
        prefect.stop()


def serve_all(
    settings: StorageSettings,
    prefect: PrefectServer,
    *,
    host: str | None = None,
    port: int | None = None,
    key: str | None = None,
    dask: str | None = None,
) -> None:
    """Serve the API beside the Prefect server and the runner, until interrupted."""
    from onefold_flows import deployments

    runner = deployments.start(prefect)
    try:
        out.print("[bold]Serving[/bold] (Ctrl-C ends it)")
        _api(settings, host, port, prefect=prefect.ui_url, dask=dask, key=key)
    finally:
        runner.stop()


def _api(
    settings: StorageSettings,
    host: str | None,
    port: int | None,
    *,
    prefect: str | None = None,
    dask: str | None = None,
    key: str | None = None,
) -> None:
    import uvicorn

    from onefold.api.app import create_app
    from onefold.settings import PlatformSettings

    platform = PlatformSettings()
    where, number = host or platform.api_host, port or _free_port(host or platform.api_host, platform.api_port)
    app = create_app(settings)
    base = f"http://{where}:{number}"
    for name, address in (
        ("pages", f"{base}/"),
        ("API", f"{base}/v1"),
        ("API docs", f"{base}/docs"),
        ("Prefect", prefect),
        ("Dask", dask),
        ("API key", key),
    ):
        if address:
            out.print(f"  {name:<9} {address}")
    uvicorn.run(app, host=where, port=number, access_log=False, log_level="warning", server_header=False)


def _free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next free one of the nine after it.

    Raises:
        Unavailable: all ten are taken.
    """
    for port in range(wanted, wanted + 10):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise Unavailable(f"ports {wanted} to {wanted + 9} are taken; choose one with --port")
