"""Discovery by folder: each file of a folder exports one frozen object, and a name may stand only once.

A workspace's files are run as modules that are not importable by name, so that what they export travels to Dask
workers by value.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

from onefold_storage.errors import BadContract


class Declared(Protocol):
    """What files export: a frozen dataclass with a name and the digest of its file."""

    @property
    def name(self) -> str:
        """Its name, unique among its kind."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the file it came from."""
        ...


D = TypeVar("D", bound=Declared)


def discover(export: str, kind: type[D], package: ModuleType, folder: Path | None = None) -> dict[str, D]:
    """What every file of `package`, and of the workspace's `folder`, exports as `export`, by name.

    Raises:
        BadContract: a file that does not run, exports none or something else, or a name that stands twice.
    """
    found: dict[str, D] = {}
    places: dict[str, str] = {}
    for path, module in [*_own(package), *_workspace(folder)]:
        where = f"{path.parent.name}/{path.name}"
        declared = getattr(module, export, None)
        if not isinstance(declared, kind):
            shown = "nothing" if declared is None else type(declared).__name__
            raise BadContract(f"{where}: expected one {kind.__name__} named {export}, found {shown}")
        if declared.name in found:
            raise BadContract(f"{where}: {declared.name!r} is already the name of {places[declared.name]}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[declared.name] = cast(D, replace(cast(Any, declared), digest=digest))
        places[declared.name] = where
    return dict(sorted(found.items()))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))


def _own(package: ModuleType) -> Iterator[tuple[Path, ModuleType]]:
    for path in _files(Path(str(package.__file__)).parent):
        yield path, importlib.import_module(f"{package.__name__}.{path.stem}")


def _workspace(folder: Path | None) -> Iterator[tuple[Path, ModuleType]]:
    for path in _files(folder) if folder is not None and folder.is_dir() else []:
        yield path, _run(path)


def _run(path: Path) -> ModuleType:
    name = f"onefold_workspace_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadContract(f"{path.parent.name}/{path.name}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadContract(f"{path.parent.name}/{path.name}: does not run: {what}") from error
    finally:
        del sys.modules[name]
    return module
