"""Discovery by folder: every module of a folder exports exactly one frozen object of a kind."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from onefold_storage.errors import BadInput

T = TypeVar("T")


def exported(package: str, attribute: str, kind: type[T], extra: Path | None = None) -> dict[str, T]:
    """Objects named `attribute` of the package's modules and of the files in the folder `extra`, by their `.name`.

    Modules whose name starts with `_` and sub-packages are not looked at.

    Raises:
        BadInput: a file exports none, does not import, or two share a name; the message names the files.
    """
    found: dict[str, T] = {}
    origins: dict[str, str] = {}
    for origin, module in (*_built_in(package), *_workspace(package, extra)):
        thing = getattr(module, attribute, None)
        if not isinstance(thing, kind):
            expected = f"expected one {kind.__name__} named {attribute}"
            raise BadInput(f"{origin}: {expected}, found {type(thing).__name__}")
        name: str = getattr(thing, "name")  # noqa: B009 - the kinds are dataclasses with a name
        if name in found:
            raise BadInput(f"{origin}: the name {name!r} is taken by {origins[name]}; choose another")
        found[name], origins[name] = thing, origin
    return found


def _built_in(package: str) -> Iterator[tuple[str, ModuleType]]:
    folder = importlib.import_module(package)
    for path in sorted(p for root in folder.__path__ for p in Path(root).glob("[!_]*.py")):
        yield path.name, importlib.import_module(f"{package}.{path.stem}")


def _workspace(package: str, extra: Path | None) -> Iterator[tuple[str, ModuleType]]:
    if extra is None or not extra.is_dir():
        return
    for path in sorted(extra.glob("[!_]*.py")):
        name = f"{package.replace('.', '_')}_workspace_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise BadInput(f"{path}: cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise BadInput(f"{path}: does not import ({type(error).__name__}: {error})") from error
        yield str(path), module
