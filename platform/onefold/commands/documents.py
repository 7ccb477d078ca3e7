"""`onefold document`: a customer's recordings, photos, mails, and fetching one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from onefold.terminal import out, print_json
from onefold_storage.errors import Conflict

app = typer.Typer(no_args_is_help=True)
GoldenId = Annotated[str, typer.Argument(metavar="GOLDEN_ID", help="The customer.")]


@app.command("list")
def list_documents(
    golden_id: GoldenId, json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False
) -> None:
    """What is known of a customer's documents, newest first."""
    from onefold_storage.customer_documents import documents_of
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    found = documents_of(Installation(StorageSettings()).lake, golden_id)
    if json:
        print_json({"golden_id": golden_id, "documents": [d.as_dict() for d in found]})
        return
    for d in found:
        told = f"{d.id[:16]}  {d.at.date()}  {d.media_type or 'unknown':<18} {d.size or 0:>12,} bytes  {d.source}"
        out.print(escape(told))
    if not found:
        out.print("no documents")


@app.command()
def fetch(
    golden_id: GoldenId,
    document: Annotated[str, typer.Argument(help="The document's id, or how it begins.")],
    output: Annotated[Path, typer.Option("--out", help="Write it here.")],
) -> None:
    """Write one of a customer's documents to a file; the audit trail says so."""
    from onefold_storage.customer_documents import content, document_of, documents_of
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    if output.exists():
        raise Conflict(f"{output}: exists already; nothing was changed")
    installation = Installation(StorageSettings())
    ids = {d.id for d in documents_of(installation.lake, golden_id) if d.id.startswith(document)}
    if len(ids) > 1:
        raise Conflict(f"{len(ids)} documents begin with these characters: give more of the id")
    found = document_of(installation.lake, golden_id, next(iter(ids), document))
    installation.ledger.audit.add("command line", "document.fetch", golden_id, {"document": found.id})
    with output.open("xb") as file:
        file.writelines(content(installation.lake, found.id))
    out.print(f"Wrote {output}")
