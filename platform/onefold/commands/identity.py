"""`onefold link`: resolve identities in any files, without a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onefold.terminal import out, print_json_line


def link(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of one shape.")],
    contract: Annotated[Path, typer.Option(help="The data contract that says what the columns mean.")],
    output: Annotated[Path, typer.Option("--out", help="Parquet file: each record's key and its golden ID.")],
    truth: Annotated[
        str | None, typer.Option(help="Column that says who is who; measures the result, is never evidence.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find out which records are the same person, and how well, where a truth column is named."""
    from dataclasses import asdict

    from onefold.link import link as resolve

    result = asdict(resolve(files, contract, output, truth))
    if json:
        print_json_line(result)
        return
    out.print(f"{result['records']:,} records are {result['clusters']:,} customers, in {result['seconds']:.1f} s")
    if result["f1"] is not None:
        out.print(", ".join(f"{k} {result[k]:.4f}" for k in ("precision", "recall", "f1")))
