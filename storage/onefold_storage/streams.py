"""Large objects of a bucket, sent and read by Arrow itself: without Python's lock, in parts of some megabytes.

Measured on MinIO against s3fs: a third of the processor's time to write, a third of the requests to look at a footer.
Arrow asks again only where it knows the answer, and MinIO's `SlowDownWrite` (too few drives answer at the moment) it
does not know: whoever uses this falls back on s3fs, which is patient with all of them.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa


class Streams:
    """Arrow's way to one bucket; paths as `Objects.path` gives them."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options
        self._fs: Any = None

    def send(self, path: str, data: pa.Buffer) -> None:
        """Write an object. What was not sent whole may still appear, cut short, once this process ends."""
        with self._bucket().open_output_stream(path) as stream:
            stream.write(data)

    def input(self, path: str) -> pa.NativeFile:
        """An object to read from, which knows its size.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._bucket().open_input_file(path)

    def _bucket(self) -> Any:
        if self._fs is None:
            from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

            options = self._options
            url = urlsplit(options.get("AWS_ENDPOINT_URL", ""))
            where = {"endpoint_override": url.netloc, "scheme": url.scheme} if url.netloc else {}
            # Uploads in the background have no bound: where storage is slow, memory would grow with the file.
            self._fs = S3FileSystem(
                access_key=options.get("AWS_ACCESS_KEY_ID"),
                secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
                region=options.get("AWS_REGION", "us-east-1"),
                background_writes=False,
                allow_delayed_open=True,  # a small object takes one request instead of three
                request_timeout=float(options.get("timeout", "30s").rstrip("s")),
                connect_timeout=float(options.get("connect_timeout", "5s").rstrip("s")),
                retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
                **where,
            )
        return self._fs


_ATTEMPTS = 6
"""How often a request is sent that meets nobody, or an error that Arrow knows: some 15 seconds."""
