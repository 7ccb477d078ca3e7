"""`onefold serve`: the API, and with `--flows` the Prefect server and the runner of schedules."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from onefold.terminal import out
from onefold_storage.errors import BadInput, OnefoldError, Unavailable

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


Beside = Callable[[str], AbstractContextManager[object]]
"""What runs while the API serves, given its address."""


def alone(_base: str) -> AbstractContextManager[object]:
    """Nothing runs beside the API."""
    return nullcontext()


def serve_all(
    settings: StorageSettings,
    prefect: PrefectServer,
    *,
    host: str | None = None,
    port: int | None = None,
    key: str | None = None,
    dask: str | None = None,
    beside: Beside = alone,
) -> None:
    """Serve the API beside the Prefect server and the runner, until interrupted; and what `beside` runs."""
    from onefold_flows import deployments

    runner = deployments.start(prefect)
    try:
        out.print("[bold]Serving[/bold] (Ctrl-C ends it)")
        _api(settings, host, port, prefect=prefect.ui_url, dask=dask, key=key, beside=beside)
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
    beside: Beside = alone,
) -> None:
    import uvicorn

    from onefold.api.app import create_app
    from onefold.settings import PlatformSettings
    from onefold_storage.starting import run_evenly

    platform = PlatformSettings()
    where = host or platform.api_host
    number = _free_port(where, port, 1) if port else _free_port(where, platform.api_port)
    if not port and number != platform.api_port:
        out.print(f"  port {platform.api_port} is taken by another program: serving on {number}")
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
    if not key and not _has_key(settings):
        out.print("  there is no API key yet: make one with `onefold key create NAME`")
    with beside(base):
        run_evenly()
        uvicorn.run(app, host=where, port=number, access_log=False, log_level="warning", server_header=False)


def _has_key(settings: StorageSettings) -> bool:
    """Whether anybody could ask; true where the ledger cannot tell now."""
    from onefold_storage.installation import Installation

    try:
        with Installation(settings).ledger as ledger:
            return any(k.revoked_at is None for k in ledger.keys.list())
    except OnefoldError:
        return True


def _free_port(host: str, wanted: int, tries: int = 10) -> int:
    """The wanted port, or the next free one of those after it, `tries` in all.

    Raises:
        Unavailable: all are taken. BadInput: this machine has no such address.
    """
    for port in range(wanted, wanted + tries):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except socket.gaierror as error:
                raise BadInput(f"host {host!r} is not known: {error.strerror}; choose one with --host") from error
            except PermissionError as error:
                raise BadInput(f"port {port} of {host} is not allowed to this user; choose a higher one") from error
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise BadInput(f"{host}: cannot be listened on: {error.strerror}") from error
                continue
            return port
    ports = f"ports {wanted} to {wanted + tries - 1} are" if tries > 1 else f"port {wanted} is"
    raise Unavailable(f"{ports} taken by another program; choose a free one with --port")
