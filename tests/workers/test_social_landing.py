"""A page's messages, exported by a platform, become interactions of their senders, once."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from onefold_storage import contracts
from onefold_workers.mapping import silver_rows
from onefold_workers.stages.landing import land_source

SENDERS = ("Zoë Müller", "Ann Smith")


def _thread(number: int) -> bytes:
    messages = [
        {
            "sender_name": SENDERS[number % 2],
            "timestamp_ms": 1520154672000 + 1000 * n,
            "content": f"Größe {n}? 👍",
            "reactions": [{"reaction": "👍", "actor": "Our Shop"}] if n % 3 == 0 else [],
        }
        for n in range(50)
    ]
    text = json.dumps({"messages": messages, "thread_path": f"inbox/{number}"}, ensure_ascii=False)
    return "".join(c if ord(c) < 128 else "".join(f"\\u00{b:02x}" for b in c.encode()) for c in text).encode()


def test_messages_become_interactions(tmp_path: Path) -> None:
    lake = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("document_lake.py"))))
    home = lake.open_home(tmp_path / "home")
    columns = {
        "parent.thread_path": {"logicalType": "string", "primaryKey": True},
        "timestamp_ms": {"logicalType": "integer", "primaryKey": True},
        "sender_name": lake._column(kind="full_name", required=True),
        "content": {"logicalType": "string"},
        "reactions[0].reaction": {"logicalType": "string"},
    }
    maps = [
        {"table": "contact_records", "key": ["sender_name"]},
        {
            "table": "interactions", "contact": {"key": ["sender_name"]}, "effective_at": "timestamp_ms",
            "fields": {"kind": {"constant": "message"}, "channel": {"constant": "social"}},
            "payload": ["content", "reactions[0].reaction"],
        },
    ]  # fmt: skip
    text = lake.contract_text(
        "page_messages", columns, location="export/messages/inbox/*/message_*.json", delivery="changes", maps=maps,
        options={"format": "export", "records": "messages"},
    )  # fmt: skip
    contract = contracts.parse(text, "page_messages")
    workspace = home.settings.workspace_folder

    def land() -> list[tuple[int, int, int]]:
        done = land_source(home.settings, contract, workspace)
        assert not done.errors
        return [(p.landed, p.failed, p.repeated) for p in done.packages if p.status != "repeated"]

    for n in range(2):
        folder = workspace / f"export/messages/inbox/{n}"
        folder.mkdir(parents=True)
        (folder / "message_1.json").write_bytes(_thread(n))
    assert land() == [(50, 0, 0)] * 2
    assert land() == []
    rows = silver_rows(contract, home.lake.scan("bronze/page_messages").collect().to_arrow())
    people = {r["full_name"] for r in rows["silver/contact_records"].to_pylist()}
    assert people == set(SENDERS)
    messages = rows["silver/interactions"].to_pylist()
    assert len(messages) == 100
    first = min(messages, key=lambda r: (r["effective_at"], r["record_key"]))
    assert first["effective_at"] == datetime(2018, 3, 4, 9, 11, 12, tzinfo=UTC)
    assert first["contact_key"] == "page_messages:Zoë Müller"
    assert json.loads(first["payload"]) == {"content": "Größe 0? 👍", "reactions[0].reaction": "👍"}
