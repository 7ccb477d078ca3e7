"""The Prefect server's application as onefold starts it: Prefect's own, made to schedule under SQLAlchemy 2.1.

Prefect 3.8 inserts scheduled runs in bulk from mappings that also hold computed (hybrid) attributes such as
`state`. SQLAlchemy 2.0 passed over those; 2.1 asks each for a `bulk_dml` rule and raises where there is none, so
that no schedule ever made a run. The rule given here is what 2.0 did. It goes when Prefect brings its own.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from sqlalchemy.ext.hybrid import hybrid_property

from onefold_storage.starting import run_evenly, start_quickly


def create_app() -> Any:
    """Prefect's API and pages, as an ASGI application; what `uvicorn --factory` calls."""
    start_quickly()
    from prefect.server.api.server import create_app as prefect_app
    from prefect.server.database.orm_models import Base

    for mapper in Base.registry.mappers:
        for attribute in mapper.all_orm_descriptors.values():
            if isinstance(attribute, hybrid_property) and attribute.bulk_dml_setter is None:
                attribute.inplace.bulk_dml(_pass_over)
    app = prefect_app()
    run_evenly()
    return app


def _pass_over(cls: Any, mapping: MutableMapping[str, Any], value: Any) -> None:
    """A computed attribute has no column to be inserted into."""
