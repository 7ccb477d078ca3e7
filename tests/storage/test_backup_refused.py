"""What the bucket of backups refuses names the settings of backups, and what the lake's refuses those of the lake."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr

from onefold_storage.backup import store_at
from onefold_storage.errors import Forbidden, NotFound, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """A server that refuses all: its address, and the status and code with which it does; with 0 it hangs up."""
    said: list[tuple[int, str]] = [(403, "AccessDenied")]

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = said[0]
            if not status:
                self.close_connection = True
                return
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", said
        server.shutdown()


def test_a_backup_that_is_refused_names_the_settings_of_backups(
    refusing: tuple[str, list[tuple[int, str]]], tmp_path: Path
) -> None:
    server, said = refusing
    settings = StorageSettings(
        home=tmp_path, s3_access_key="lake", s3_secret_key=SecretStr("made-up"), backup_s3_endpoint=server,
        backup_s3_access_key="backups", backup_s3_secret_key=SecretStr("made-up-too"), s3_patience=0.1,
    )  # fmt: skip
    with pytest.raises(Forbidden, match=r"ONEFOLD_BACKUP_S3_ACCESS_KEY.*ONEFOLD_BACKUP_URL") as told:
        store_at(settings, "s3://elsewhere/backups").ids()
    assert "made-up" not in str(told.value)
    assert "ONEFOLD_LAKE_URL" not in str(told.value)
    said[0] = (404, "NoSuchBucket")
    with pytest.raises(NotFound, match=r"no bucket elsewhere.*ONEFOLD_BACKUP_URL"):
        store_at(settings, "s3://elsewhere/backups").ids()
    of_the_lake = settings.model_copy(update={"s3_endpoint": server, "lake_url": "s3://elsewhere/lake"})
    with pytest.raises(NotFound, match="ONEFOLD_LAKE_URL"):
        Installation(of_the_lake).lake.objects.keys("work")
    said[0] = (0, "")
    with pytest.raises(Unavailable, match="ONEFOLD_BACKUP_S3_ENDPOINT"):
        store_at(settings, "s3://elsewhere/backups").ids()
