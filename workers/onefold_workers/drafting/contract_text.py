"""Writes the contract: YAML with remarks for the person who checks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from onefold_storage.contract_fields import Format
from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.maps import Map
from onefold_workers.drafting.types import Type

_CHECK = "# Check: "


def _line(said: str) -> str:
    """Text for a comment: on one line, whatever characters a column's name has."""
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())


def _question(said: str) -> str:
    return f"{_CHECK}{_line(said)}."


def checks(text: str) -> list[str]:
    """What a drafted contract asks a person to look at, a line each."""
    return [line.strip().removeprefix(_CHECK) for line in text.splitlines() if line.strip().startswith(_CHECK)]


def flow(value: Any) -> str:
    """A value as one line of YAML (JSON is YAML; plain words stay bare)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, str) and value.isidentifier() and value.isascii() and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "none", "nan", "inf"}


def column_lines(
    name: str,
    kind: Type,
    guess: Guess | None,
    *,
    key: int,
    required: bool,
    attribute: bool,
    locale: str | None = None,
    checks: Sequence[str] = (),
) -> list[str]:
    """The lines of one property. `key`: its place in the primary key from 1, else 0; `checks`: remarks above it."""
    lines = [f"      {_question(check)}" for check in checks]
    lines += [f"      - name: {flow(name)}", f"        logicalType: {kind.logical}"]
    if kind.physical:
        lines.append(f"        physicalType: {flow(kind.physical)}")
    if key:
        lines += ["        primaryKey: true", f"        primaryKeyPosition: {key}"]
    if key or required:
        lines.append("        required: true")
    said = []
    if guess:
        said.append(f"{guess.kind}, {guess.confidence} confidence: {guess.why}.")
    if kind.note:
        said.append(kind.note)
    if said:
        lines.append(f"        description: {json.dumps(' '.join(said), ensure_ascii=False)}")
    rules: dict[str, Any] = {}
    if guess:
        rules["kind"] = guess.kind
        if guess.scheme:
            rules["scheme"] = guess.scheme
    if kind.format:
        rules["format"] = kind.format
    if locale:
        rules["locale"] = locale
    if attribute:
        rules["attribute"] = True
    if rules:
        lines.append(f"        customProperties: [{{property: onefold, value: {flow(rules)}}}]")
    return lines


def derived_lines(
    name: str,
    column: str,
    path: str,
    written: Format | None,
    guess: Guess | None,
    *,
    attribute: bool,
    locale: str | None = None,
    checks: Sequence[str] = (),
) -> list[str]:
    """The lines of one derived column: what stands at `path` in `column`; `written` is a date's format."""
    rules: dict[str, Any] = {"column": column, "path": path}
    said = [f"        {_question(check)}" for check in checks]
    if guess:
        said += [f"        # {guess.kind}, {guess.confidence} confidence: {guess.why}."]
        rules["kind"] = guess.kind
        if guess.scheme:
            rules["scheme"] = guess.scheme
    if written:
        rules["format"] = written
    if locale:
        rules["locale"] = locale
    if attribute:
        rules["attribute"] = True
    return [*said, f"        {flow(name)}: {flow(rules)}"]


def map_lines(rules: Map, remark: str) -> list[str]:
    """The lines of one map, its remark above it."""
    lines = [f"        {_question(remark)}"] if remark else []
    first, *rest = rules.items()
    lines.append(f"        - {first[0]}: {flow(first[1])}")
    for name, value in rest:
        if name == "fields":
            lines.append("          fields:")
            lines += [f"            {n}: {flow(v)}" for n, v in value.items()]
        else:
            lines.append(f"          {name}: {flow(value)}")
    return lines


def contract(
    source: str,
    location: str,
    connector: str,
    options: dict[str, Any],
    columns: list[list[str]],
    maps: list[tuple[Map, str]],
    country: str | None,
    left_out: list[str],
    delivery: str = "append",
    derived: list[list[str]] | None = None,
    locale: str | None = None,
) -> str:
    """The whole contract as text."""
    lines = [
        f"# Drafted from a sample of {source}. A person must check before anything is decided on it:",
        "#  - lawful_basis and data_use: drafted as consent, the strictest, without marketing: nobody is contacted",
        "#    on the strength of this draft. State the basis that holds, and the purposes people were told of.",
        "#  - the kinds below, first those of low or medium confidence, and the schemes of external IDs: two",
        "#    sources that use one scheme say that equal numbers are one person. Rename one where that is not so.",
        "#  - the primary key, the time zone of times without one, and the currency.",
        "#  - delivery: `append` where each package brings new rows alone, `changes` where it brings rows again (a file",
        "#    that is written over), `snapshot` where it brings the whole table and what is missing is deleted.",
    ]
    if left_out:
        lines.append(f"# Left out, because names that begin with _ are the lake's: {_line(', '.join(left_out))}.")
    lines += [
        "kind: DataContract",
        "apiVersion: v3.1.0",
        f"id: {source}",
        "version: 0.1.0",
        "status: draft",
        f"name: {flow(source)}",
        "# description:",
        '#   purpose: "What the table is, and what it is for: the pages and the API show it."',
        "schema:",
        f"  - name: {source}",
        "    logicalType: object",
        "    properties:",
        *(line for column in columns for line in column),
        "customProperties:",
        "  - property: onefold",
        "    value:",
        f"      connector: {flow(connector)}",
        *([f"      location: {flow(location)}"] if location else []),
    ]
    if options:
        lines.append(f"      options: {flow(options)}")
    lines += [
        f"      delivery: {delivery}",
        "      lawful_basis: consent",
        "      data_use: [analytics]",
        "      freshness: P1D",
        "      timezone: UTC",
        *([f"      locale: {locale}  # as its numbers are written"] if locale else []),
    ]
    lines.append(
        f"      country: {flow(country)}" if country else "      # country: DE  # of phones and postcodes; unknown"
    )
    lines.append("      # currency: EUR  # of amounts without one")
    if derived:
        lines += ["      derived:", *(line for column in derived for line in column)]
    if maps:
        lines.append("      maps:")
        lines += [line for rules, remark in maps for line in map_lines(rules, remark)]
    else:
        lines.append("      # No maps: the table shows neither people nor what they did. It lands in bronze only.")
    return "\n".join(lines) + "\n"
