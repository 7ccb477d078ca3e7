"""The workspace: a user's declarations, outside the package, one small file each.

    onefold.yaml         the workspace's own settings: name, clock, truth to measure by, what identity is held to
    contracts/*.yaml     data contracts, one a source
    features/*.py        feature views
    models/*.py          models
    connectors/*.py      connectors
    audiences/*.yaml     audiences
    survivorship.yaml    which source wins which field
    data_uses.yaml       what data may be used for, on what lawful basis

Every file is registered in the lake with a version that grows when it changes (`registry.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, model_validator

from onefold_storage import contracts
from onefold_storage.clock import Clock, FixedClock
from onefold_storage.contracts import Contract
from onefold_storage.declared import Declared
from onefold_storage.errors import BadContract, NotFound
from onefold_storage.settings import StorageSettings

FOLDERS = {
    "contract": ("contracts", "*.yaml"),
    "feature": ("features", "*.py"),
    "model": ("models", "*.py"),
    "connector": ("connectors", "*.py"),
    "audience": ("audiences", "*.yaml"),
}
FILES = {"survivorship": "survivorship.yaml", "data_uses": "data_uses.yaml", "workspace": "onefold.yaml"}


_CURRENCY = "^[A-Z]{3}$"


class IdentitySettings(Declared):
    """How identity resolution is held to what a person agreed to."""

    most_changed: float = Field(
        default=0.1, ge=0, le=1, description="share of customers that one run may merge or split before it stops"
    )
    several_keys: tuple[str, ...] = Field(
        default=(), description="schemes of external IDs of which one person may have several keys in one source"
    )


class WorkspaceSettings(Declared):
    """What `onefold.yaml` may say."""

    name: str = "onefold"
    now: datetime | None = Field(default=None, description="fixes the clock, for data of another time")
    truth: str | None = Field(
        default=None,
        description="Parquet file with record_key and person, relative to the workspace; it only measures",
    )
    identity: IdentitySettings = IdentitySettings()
    country: str | None = Field(default=None, description="default country of phone numbers, ISO 3166 alpha-2")
    currency: str | None = Field(
        default=None,
        pattern=_CURRENCY,
        description="that sums of money are in, ISO 4217; else the one that most interactions with an amount have",
    )
    exchange_rates: dict[Annotated[str, Field(pattern=_CURRENCY)], Annotated[Decimal, Field(gt=0)]] = Field(
        default={},
        description="what one unit of another currency is worth in `currency`; amounts without a rate count for no sum",
    )

    @model_validator(mode="after")
    def _rates_are_to_something(self) -> Self:
        if self.exchange_rates and self.currency is None:
            raise ValueError(
                "exchange_rates: are to the workspace's currency, which is not declared: add `currency`"
            )
        if self.currency in self.exchange_rates:
            raise ValueError("exchange_rates: names the workspace's own currency; leave it out")
        return self


@dataclass(frozen=True)
class Workspace:
    """A folder of declarations."""

    folder: Path
    settings: WorkspaceSettings

    @classmethod
    def open(cls, folder: Path) -> Workspace:
        """The workspace in a folder.

        Raises:
            NotFound: there is none. BadContract: its `onefold.yaml` says something unknown.
        """
        path = folder / FILES["workspace"]
        if not path.is_file():
            raise NotFound(f"{path}: no workspace here; `onefold init` makes one")
        return cls(folder, WorkspaceSettings.of(_mapping(path), str(path)))

    def contracts(self) -> list[Contract]:
        """Every data contract, by id.

        Raises:
            BadContract: one is not valid, or two have the same id.
        """
        sound, broken = self.sound_contracts()
        if broken:
            raise broken[0]
        return sound

    def sound_contracts(self) -> tuple[list[Contract], list[BadContract]]:
        """The contracts that are valid, by id, and what is wrong with the others. An id named twice is nobody's."""
        found: dict[str, Contract] = {}
        twice: set[str] = set()
        broken: list[BadContract] = []
        for path in self._files("contract"):
            try:
                contract = contracts.read(path).with_country(self.settings.country)
            except BadContract as error:
                broken.append(error)
                continue
            if contract.id in found:
                twice.add(contract.id)
                broken.append(BadContract(f"{path}: id: {contract.id!r} is the id of another contract too"))
            found[contract.id] = contract
        return [found[k] for k in sorted(found) if k not in twice], broken

    def contract(self, source: str) -> Contract:
        """One contract, whatever is wrong with others.

        Raises:
            NotFound: no contract has that id. BadContract: likewise, but one that is not valid may be meant.
        """
        sound, broken = self.sound_contracts()
        for contract in sound:
            if contract.id == source:
                return contract
        if broken:
            raise broken[0]
        known = ", ".join(c.id for c in sound) or "none"
        raise NotFound(f"{source}: no contract in {self.folder / 'contracts'} has this id; there are {known}")

    def yaml(self, kind: str) -> dict[str, object]:
        """A single-file declaration (`survivorship`, `data_uses`) as a mapping; empty where the file is absent."""
        path = self.folder / FILES[kind]
        if not path.is_file():
            return {}
        return _mapping(path)

    def declarations(self) -> Iterator[tuple[str, str, str]]:
        """Every declaration as (kind, name, text)."""
        for kind in FOLDERS:
            for path in self._files(kind):
                yield kind, path.stem, _text(path)
        for kind, name in FILES.items():
            path = self.folder / name
            if path.is_file():
                yield kind, path.stem, _text(path)

    def _files(self, kind: str) -> list[Path]:
        folder, pattern = FOLDERS[kind]
        return sorted((self.folder / folder).glob(pattern))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadContract(f"{path}: expected UTF-8, found another encoding at byte {error.start}") from error


def _mapping(path: Path) -> dict[str, object]:
    try:
        value = yaml.safe_load(_text(path)) or {}
    except yaml.YAMLError as error:
        raise BadContract(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise BadContract(f"{path}: expected a mapping, found {type(value).__name__}")
    return value


def clock_for(settings: StorageSettings) -> Clock:
    """The one clock: fixed by `ONEFOLD_NOW`, else by the workspace, else the machine's."""
    if settings.now is None and (settings.workspace_folder / FILES["workspace"]).is_file():
        fixed = Workspace.open(settings.workspace_folder).settings.now
        if fixed:
            return FixedClock(fixed)
    return settings.clock()
