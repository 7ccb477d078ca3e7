"""Where a source is: `${NAME}` reads the environment and `${file:PATH}` a file, and nothing ever echoes what it read.

This is the one place on this floor that reads the environment: a contract names its secrets, never holds them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onefold_storage.errors import BadContract, BadInput

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]+)\}")
_LARGEST = 65_536
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True)
class Location:
    """A location as written (`text`, safe to show) and as meant (`value`, with secrets)."""

    text: str
    value: str = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def scheme(self) -> str:
        """The URL scheme without a driver (`postgresql`), empty for a path."""
        match = _SCHEME.match(self.value)
        return match[1].split("+")[0].lower() if match else ""

    def redact(self, message: str) -> str:
        """The message on one line with every secret replaced by its name."""
        for name, secret in sorted(self.secrets.items(), key=lambda item: -len(item[1])):
            if secret:
                message = message.replace(secret, f"${{{name}}}")
        return " ".join(message.split())


def read(text: str, where: str = "location") -> Location:
    """The location written as `text`; `where` is how errors name it.

    Raises:
        BadInput: a variable that it names is not set, or a file cannot be read.
    """
    secrets = {name: _secret(name, where) for name in _NAME.findall(text)}
    return Location(text, _NAME.sub(lambda m: secrets[m[1]], text), secrets)


def secret(text: str, where: str) -> Location:
    """A secret, which has to be named and may not be written out.

    Raises:
        BadContract: it is written out. BadInput: as `read`.
    """
    if not _NAME.search(text):
        raise BadContract(f"{where}: is a secret; expected its name, as ${{NAME}} (environment) or ${{file:PATH}}")
    return read(text, where)


def _secret(name: str, where: str) -> str:
    if name.startswith("file:"):
        try:
            return Path(name[5:]).read_bytes()[:_LARGEST].decode().strip()
        except (OSError, UnicodeDecodeError):
            raise BadInput(f"{where}: the file {name[5:]} cannot be read as text") from None
    value = os.environ.get(name)
    if value is None:
        raise BadInput(f"{where}: the environment variable {name} is not set; set it, or name another")
    return value
