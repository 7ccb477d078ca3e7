"""The demo's declarations: contracts, data uses and survivorship rules, as they are laid into a workspace."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

_HERE = "onefold.demo"


def declarations(*, full: bool = False) -> dict[str, str]:
    """Text by path relative to the workspace; `full` adds the contract of the promotions."""
    found: dict[str, str] = {}
    for folder in ("workspace", *(["workspace_full"] if full else [])):
        found |= _texts(resources.files(_HERE) / folder, "")
    return dict(sorted(found.items()))


def lay(workspace: Path, *, full: bool = False) -> list[Path]:
    """Write the declarations that a workspace lacks, and return their paths; what stands there is left as it is."""
    written = []
    for relative, text in declarations(full=full).items():
        path = workspace / relative
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _texts(folder: Traversable, prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _texts(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            found[prefix + entry.name] = entry.read_text(encoding="utf-8")
    return found
