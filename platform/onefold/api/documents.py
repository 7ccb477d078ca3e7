"""GET /v1/customers/{golden_id}/documents: a customer's recordings, photos, mails; each can be fetched.

Answered from the lake, for customers who are published. Fetching one is written into the audit trail.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse

from onefold.api import examples
from onefold.api.answers import NOT_FOUND, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Context, Shared
from onefold.api.customers import GoldenId, numbered
from onefold.api.shapes import Documents
from onefold_storage.keys import Key

router = APIRouter(tags=["customers"])

DocumentId = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the document", examples=["9f86d081884c7d65…"])
]
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The document as it came", "content": {"application/octet-stream": {}}}
}


@router.get(
    "/v1/customers/{golden_id}/documents",
    summary="A customer's documents",
    response_model=Documents,
    responses=PROBLEMS | NOT_FOUND | examples.answers(examples.DOCUMENTS),
    dependencies=[needs("read:documents")],
)
def documents(
    golden_id: GoldenId,
    shared: Shared,
    limit: Annotated[int, Query(ge=1, le=200, description="documents a page")] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="documents to pass over")] = 0,
) -> Answer:
    """What is known of each document, newest first, as it stands in the lake now."""
    from onefold_storage.customer_documents import documents_of

    standing = _standing(shared, golden_id)
    found = documents_of(shared.lake, standing)
    page = [d.as_dict() for d in found[offset : offset + limit]]
    return Answer({"golden_id": standing, "total": len(found), "documents": page})


@router.get(
    "/v1/customers/{golden_id}/documents/{document}",
    summary="One document",
    response_class=Response,
    responses=PROBLEMS | NOT_FOUND | _BYTES,
)
def document(
    golden_id: GoldenId, document: DocumentId, shared: Shared, key: Annotated[Key, needs("read:documents")]
) -> StreamingResponse:
    """The document itself, to be saved: a browser does not show it. The audit trail says who fetched it."""
    from onefold_storage.customer_documents import content, document_of

    standing = _standing(shared, golden_id)
    found = document_of(shared.lake, standing, document)
    shared.ledger.audit.add(f"key {key.id}", "document.fetch", standing, {"document": document})
    headers = {
        "Content-Disposition": f'attachment; filename="{document[:16]}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    if found.size is not None:
        headers["Content-Length"] = str(found.size)
    return StreamingResponse(content(shared.lake, document), media_type="application/octet-stream", headers=headers)


def _standing(shared: Context, golden_id: str) -> str:
    view = shared.serving.view()
    return str(view.snapshot.body(numbered(view, golden_id))["golden_id"])
