"""`onefold init`: a workspace to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from onefold.terminal import out


def init(
    folder: Annotated[Path | None, typer.Argument(help="Where; $ONEFOLD_HOME/workspace when left out.")] = None,
) -> None:
    """Make a workspace: contracts, features, models, audiences and rules, outside the package."""
    from onefold_storage.errors import Conflict
    from onefold_storage.settings import StorageSettings
    from onefold_storage.workspace import Workspace

    target = (folder or StorageSettings().workspace_folder).expanduser().absolute()
    if (target / "onefold.yaml").exists():
        raise Conflict(f"{target}: is a workspace already; nothing was changed")
    write_template(target, "template")
    Workspace.open(target)
    out.print(f"Made a workspace in {target}")
    if folder:
        out.print(f"Use it with: export ONEFOLD_WORKSPACE={target}")
    out.print(f"Next: onefold source draft FILE --out {target / 'contracts' / 'NAME.yaml'}")


def write_template(target: Path, name: str) -> None:
    """Copy one of the package's workspaces to a folder."""
    from onefold_storage.workspace import FOLDERS

    source = resources.files("onefold") / name
    _copy(source, target)
    for sub, _ in FOLDERS.values():
        (target / sub).mkdir(parents=True, exist_ok=True)


def _copy(source: resources.abc.Traversable, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.name.startswith("__"):
            continue
        if entry.is_dir():
            _copy(entry, target / entry.name)
        else:
            (target / entry.name).write_bytes(entry.read_bytes())
