"""A program of its own that reads one sheet of a workbook, so that no workbook can take its reader along.

A sheet with two cells in its far corners asks for billions, and an archive may unpack to more than it says: the
library then takes all memory, or ends the process. Here that is a process whose memory and time are bounded, and
which reads from standard input and writes an Arrow stream to standard output. Run by `excel.py`, with the sheet's
name (or nothing), rows above its header, rows a batch, bytes of memory and seconds as arguments; what is wrong is told
on standard error.
"""

from __future__ import annotations

import sys

PROBLEM = "onefold: "
"""Begins the line of standard error that says what is wrong with the workbook."""
_UNNAMED = "__UNNAMED__"
_LOOKED_AT = 30


def main(sheet_name: str, above: int, rows_a_batch: int) -> str | None:
    """Write the sheet; returns what is wrong instead, on one line."""
    import fastexcel
    import pyarrow as pa

    try:
        book = fastexcel.read_excel(sys.stdin.buffer.read())
        names = book.sheet_names
        if sheet_name and sheet_name not in names:
            return f"has no sheet {sheet_name!r}; it has {', '.join(names)}"
        sheet = book.load_sheet(sheet_name or 0, header_row=above, schema_sample_rows=None)
        rows = pa.Table.from_batches([sheet.to_arrow()])
    except fastexcel.FastExcelError as error:
        return f"is no workbook that can be read ({str(error).splitlines()[0]})"
    unnamed = [n for n in rows.column_names if n.startswith(_UNNAMED)]
    if any(rows.column(n).null_count < rows.num_rows for n in unnamed):
        return (
            "columns: one has values and no name; every column needs its own name. If rows stand above the header, say "
            f"how many: `skip_lines`, of a draft --option skip_lines={above + 1 + _fullest(rows)}"
        )
    rows = _without_blank_rows(rows.drop_columns(unnamed))
    with pa.ipc.new_stream(sys.stdout.buffer, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=rows_a_batch)
    return None


def _fullest(rows):  # type: ignore[no-untyped-def]
    """The first of the rows at the top that has as many values as any of them: the header, where titles hid it."""
    top = rows.slice(0, _LOOKED_AT).to_pylist()
    filled = [sum(value not in (None, "") for value in row.values()) for row in top]
    return filled.index(max(filled))


def _without_blank_rows(rows):  # type: ignore[no-untyped-def]  # pyarrow is imported once memory is bounded
    import pyarrow.compute as pc

    if not rows.num_columns:
        return rows
    filled = None
    for column in rows.columns:
        some = column.is_valid()
        filled = some if filled is None else pc.or_(filled, some)
    return rows.filter(filled)


def _bound(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sheet, *numbers = sys.argv[1:]
    above, batch, memory, seconds = map(int, numbers)
    _bound(memory, seconds)
    try:
        said = main(sheet, above, batch)
    except MemoryError:
        said = "asks for more memory than a workbook may"
    if said:
        sys.stderr.write(PROBLEM + " ".join(said.split()) + "\n")
        sys.exit(3)
