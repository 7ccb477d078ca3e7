"""Files that lie elsewhere: in buckets (S3), on web servers (HTTP) and on SFTP servers, through fsspec.

A file is fetched once into a nameless temporary file and hashed on the way, then read like any other. The bookmark
keeps the version of each file that has landed (entity tag, or size and time of change), so that what has not
changed is not fetched again; what is fetched again is found repeated by its content.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa

from onefold_storage.errors import BadContract, BadInput, OnefoldError, Unavailable
from onefold_workers.connectors._locations import Location, read, secret
from onefold_workers.connectors._patience import asked_again
from onefold_workers.connectors.formats._input import CHUNK, InputFile

SCHEMES = ("s3", "http", "https", "sftp")
KEPT = 10_000
"""Versions that a bookmark keeps, of the files that changed last."""
_OPTIONS = {
    "s3": ("key", "secret", "token", "endpoint_url", "region", "anon"),
    "http": ("username", "password"),
    "https": ("username", "password"),
    "sftp": ("username", "password", "key_filename", "passphrase", "host_key"),
}
_SECRET = ("secret", "token", "password", "passphrase")
_CONNECT_S, _READ_S = 10, 60


@dataclass(frozen=True)
class Remote:
    """One file elsewhere. `version`: changes when the file does; empty, and `size` None, where the server does not tell."""

    path: str
    name: str
    version: str
    changed: str
    size: int | None


@dataclass(frozen=True)
class Fetched(InputFile):
    """A fetched file, on disk without a name."""

    file: IO[bytes] = field(kw_only=True)
    sha256: str = field(kw_only=True)

    def digest(self) -> str:
        """SHA-256 of the bytes, as they came."""
        return self.sha256

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """As `InputFile.reading`; nobody else can change the file."""
        self.file.seek(0)
        try:
            kind = self._compression(self.file)
            yield self.file if kind == "none" else pa.CompressedInputStream(pa.PythonFile(self.file), kind)
        except (OSError, pa.ArrowException) as error:
            raise self.bad(f"is not what it was taken for ({error})") from error


class Place:
    """Where files lie: a location with its credentials.

    Raises:
        BadContract: an option is unknown there, or a secret is written out. BadInput: a secret's name is not set.
    """

    def __init__(self, location: Location, options: dict[str, Any], where: str) -> None:
        self.location = location
        known = _OPTIONS[location.scheme]
        for name in options:
            if name not in known:
                raise BadContract(f"{where}.storage.{name}: unknown; {location.scheme} knows {', '.join(known)}")
        self._options = {
            k: (secret if k in _SECRET else read)(v, f"{where}.storage.{k}").value if isinstance(v, str) else v
            for k, v in options.items()
        }
        self._fs: Any = None

    def files(self) -> list[Remote]:
        """The files that the location names, by name.

        Raises:
            BadInput: there is none, or the server refuses. Unavailable: it does not answer.
        """
        with self._told():
            fs = self._system()
            path = self._path()
            if "*" in path or "?" in path or "[" in path:
                found = {k: v for k, v in fs.glob(path, detail=True).items() if v.get("type") != "directory"}
            else:
                facts = fs.info(path)
                if facts.get("type") == "directory":
                    raise BadInput(f"{self.location.text}: is a folder; expected a file or a pattern")
                found = {path: facts}
        if not found:
            raise BadInput(f"{self.location.text}: no file matches")
        return sorted((self._remote(p, facts) for p, facts in found.items()), key=lambda r: r.path)

    def fetch(self, remote: Remote, compression: str, max_bytes: int) -> Fetched:
        """The file's bytes, on disk; removed with the last reference to it.

        Raises:
            BadInput: larger than `max_bytes`, cut off, or refused. Unavailable: the server does not answer.
        """
        return asked_again(partial(self._fetch, remote, compression, max_bytes))

    def _fetch(self, remote: Remote, compression: str, max_bytes: int) -> Fetched:
        digest, size = hashlib.sha256(), 0
        kept: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as it is read
        try:
            with self._told(), self._system().open(remote.path, "rb") as stream:
                while chunk := stream.read(CHUNK):
                    size += len(chunk)
                    if size > max_bytes:
                        raise BadInput(
                            f"{remote.name}: is larger than {max_bytes} bytes; raise `max_fetched_bytes`"
                        )
                    digest.update(chunk)
                    kept.write(chunk)
        except Unavailable:
            self._fs = None  # the next time on a new connection
            raise
        if remote.size is not None and size != remote.size:
            problem = "it changed while it was fetched, or the server lies about its length"
            raise BadInput(f"{remote.name}: expected {remote.size} bytes, found {size}: {problem}; land it again")
        path = Path(urlsplit(remote.path).path if "://" in remote.path else remote.path)
        return Fetched(path, remote.name, compression, file=kept, sha256=digest.hexdigest())

    def _path(self) -> str:
        value = self.location.value
        if self.location.scheme == "sftp":
            return urlsplit(value).path
        return value.removeprefix("s3://")

    def _remote(self, path: str, facts: dict[str, Any]) -> Remote:
        changed = str(facts.get("LastModified") or facts.get("mtime") or facts.get("last_modified") or "")
        tag = str(facts.get("ETag") or facts.get("etag") or "")
        version = tag or (f"{facts.get('size')} {changed}" if changed else "")
        name = f"{self.location.scheme}://{path}" if "://" not in path else path.split("?", 1)[0]
        size = facts.get("size")
        return Remote(path, self.location.redact(name), version, changed, size if isinstance(size, int) else None)

    def _system(self) -> Any:
        if self._fs is None:
            self._fs = _SYSTEMS[self.location.scheme](urlsplit(self.location.value), self._options)
        return self._fs

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OnefoldError:
            raise
        except FileNotFoundError as error:
            cause = error.__cause__  # fsspec's HTTP says of every failure that nothing is there
            if isinstance(cause, OSError | TimeoutError) and not isinstance(cause, FileNotFoundError):
                raise Unavailable(f"{self.location.text}: the server does not answer") from None
            status = getattr(cause, "status", None) or 0
            if status == 429 or status >= 500:
                raise Unavailable(f"{self.location.text}: the server answers {status}") from None
            refused = status in (401, 403)
            problem = "the server refuses access; check `storage`" if refused else "no such file"
            raise BadInput(f"{self.location.text}: {problem}") from None
        except PermissionError:
            raise BadInput(f"{self.location.text}: the server refuses access; check `storage`") from None
        except (OSError, EOFError, TimeoutError) as error:
            raise Unavailable(f"{self.location.text}: cannot be read ({type(error).__name__})") from None
        except Exception as error:  # each protocol's library has errors of its own
            kind = type(error).__name__
            kinds = " ".join(k.__name__ for k in type(error).__mro__)
            refused = any(w in kinds for w in ("Auth", "Credentials", "HostKey")) or "authentication" in str(error)
            problem = "the server refuses access, or is not who it was" if refused else "cannot be read"
            raise (BadInput if refused else Unavailable)(f"{self.location.text}: {problem} ({kind})") from None


def remembered(seen: dict[str, str], files: list[Remote]) -> dict[str, str]:
    """Of the versions seen, those of files that are still there and changed last, at most `KEPT`."""
    there = {key_of(f): f for f in files}
    last = sorted((k for k in seen if k in there), key=lambda k: there[k].changed)[-KEPT:]
    return {k: seen[k] for k in last}


def key_of(remote: Remote) -> str:
    """What the bookmark calls a file: a hash, since names may be personal."""
    return hashlib.sha256(remote.path.encode()).hexdigest()[:16]


def _s3(_url: Any, options: dict[str, Any]) -> Any:
    client = {
        k: options[o] for k, o in (("endpoint_url", "endpoint_url"), ("region_name", "region")) if o in options
    }
    return fsspec.filesystem(
        "s3",
        key=options.get("key"),
        secret=options.get("secret"),
        token=options.get("token"),
        anon=bool(options.get("anon", False)),
        client_kwargs=client,
        # asked again by `_patience`, so not often by each library below as well
        config_kwargs={
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"total_max_attempts": 2},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def _http(_url: Any, options: dict[str, Any]) -> Any:
    from aiohttp import BasicAuth, ClientTimeout

    given: dict[str, Any] = {"timeout": ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)}
    if "username" in options:
        given["auth"] = BasicAuth(options["username"], options.get("password", ""))
    return fsspec.filesystem("http", client_kwargs=given, block_size=0, skip_instance_cache=True)


def _sftp(url: Any, options: dict[str, Any]) -> Any:
    from onefold_workers.connectors._host_keys import KnownKey

    system = fsspec.filesystem(
        "sftp", host=url.hostname, port=url.port or 22, username=options.get("username") or url.username,
        password=options.get("password"), key_filename=options.get("key_filename"),
        passphrase=options.get("passphrase"), host_key_policy=KnownKey(options.get("host_key")),
        look_for_keys=False,
        allow_agent=False, timeout=_CONNECT_S, banner_timeout=_READ_S, auth_timeout=_READ_S, skip_instance_cache=True,
    )  # fmt: skip
    system.ftp.get_channel().settimeout(_READ_S)
    return system


_SYSTEMS = {"s3": _s3, "http": _http, "https": _http, "sftp": _sftp}
