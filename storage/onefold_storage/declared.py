"""What a person writes in YAML, read into an object: unknown keys are errors, so that no misspelt rule is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from onefold_storage.errors import BadContract


class Declared(BaseModel):
    """Base of declarations: frozen, and no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, given: Mapping[str, Any], where: str) -> Self:
        """What a mapping says; `where` is how errors name it.

        Raises:
            BadContract: it says something unknown or wrong; the message names the key and not the value.
        """
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            at = "".join(f"{part}: " for part in [".".join(map(str, detail["loc"]))] if part)
            raise BadContract(f"{where}: {at}{detail['msg']}") from error
