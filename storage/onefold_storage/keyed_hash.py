"""Keyed hashes of identifiers: how the ledger knows a person without holding who it is.

Without the key, a hash of an email or a phone number is guessed in minutes; with it, only whoever holds the
installation's secret can tell. The secret is a file beside the lake's home, or given by the settings.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from filelock import FileLock

from onefold_storage.errors import BadInput


@dataclass(frozen=True)
class KeyedHash:
    """BLAKE2b keyed with the installation's secret; 16 bytes, as 32 hexadecimal digits."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 16 <= len(self.secret) <= 64:
            raise BadInput(f"the installation's secret: expected 16 to 64 bytes, found {len(self.secret)}")

    @classmethod
    def at(cls, path: Path) -> Self:
        """The secret in a file, made (readable by its owner only) where there is none.

        Raises:
            BadInput: the file holds no secret.
        """
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock", timeout=60):
                if not path.exists():
                    _write(path, secrets.token_hex(32))
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except ValueError:
            raise BadInput(f"{path}: expected a secret of 64 hexadecimal digits, found something else") from None

    def of(self, kind: str, value: str) -> str:
        """The hash of one identifier: `kind` is record, email, phone or an external ID's scheme."""
        return self.of_bytes(kind, value.encode("utf-8", "surrogatepass"))

    def of_bytes(self, kind: str, value: bytes) -> str:
        """The same of bytes."""
        text = kind.encode() + b"\x1f" + value
        return hashlib.blake2b(text, digest_size=16, key=self.secret).hexdigest()


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
