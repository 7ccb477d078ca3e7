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
from functools import partial
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from onefold_storage.errors import BadContract, BadInput, OnefoldError, Unavailable
from onefold_workers.connectors._locations import Location, read, secret
from onefold_workers.connectors._paced import PacedOptions, Paces
from onefold_workers.connectors._patience import asked_again
from onefold_workers.connectors._remote_file import Fetched, Peeked, Remote
from onefold_workers.connectors._remote_systems import SYSTEMS
from onefold_workers.connectors._spooled import Spooled
from onefold_workers.connectors.formats._input import CHUNK

SCHEMES = ("s3", "http", "https", "sftp")
_STREAMS = ("http", "https")
KEPT = 10_000
"""Versions that a bookmark keeps, of the files that changed last."""
_OPTIONS = {
    "s3": ("key", "secret", "token", "endpoint_url", "region", "anon"),
    "http": ("username", "password"),
    "https": ("username", "password"),
    "sftp": ("username", "password", "key_filename", "passphrase", "host_key"),
}
_SECRET = ("secret", "token", "password", "passphrase")
_LEAST = 64 << 10


def place(location: Location, storage: dict[str, Any], pace: PacedOptions, where: str) -> Place | None:
    """The place of a location on a server; None for one on this machine.

    Raises:
        BadContract: as `Place`, or there is a limit on how fast this machine's own disk is read.
    """
    if location.scheme in SCHEMES:
        return Place(location, storage, Paces(pace), where)
    if pace.paced:
        limits = "requests_per_second and bytes_per_second"
        raise BadContract(f"{where}: {limits} are for files on a server, and these lie on this machine")
    return None


class Place:
    """Where files lie: a location with its credentials, asked at a pace.

    Raises:
        BadContract: an option is unknown there, or a secret is written out. BadInput: a secret's name is not set.
    """

    def __init__(self, location: Location, options: dict[str, Any], pace: Paces, where: str) -> None:
        self.location, self._pace = location, pace
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
            self._pace.requests.wait()
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

    def peek(self, remote: Remote, compression: str, most: int) -> Peeked:
        """The file for a look; nothing is asked before it is read. `most`: as of `InputFile`."""
        path = _path_of(remote)
        return Peeked(path, remote.name, compression, most, opened=partial(self._opened, remote))

    @contextmanager
    def _opened(self, remote: Remote) -> Iterator[IO[bytes]]:
        with self._told(), self._stream(remote, ahead=False) as stream:
            if self.location.scheme in _STREAMS:
                with Spooled(self._pieces(stream)) as spooled:
                    yield cast("IO[bytes]", spooled)
            else:
                yield stream

    def _stream(self, remote: Remote, *, ahead: bool = True) -> Any:
        self._pace.requests.wait()
        # What is known of a file on a web server is not asked again; a bucket's files are read ahead by 50 MB.
        given = {"size": remote.size or 1} if self.location.scheme in _STREAMS else {}
        if self.location.scheme == "s3" and not (ahead and self._pace.bytes.per_second is None):
            given["block_size"] = self._piece
        return self._system().open(remote.path, "rb", **given)

    @property
    def _piece(self) -> int:
        return max(_LEAST, self._pace.bytes.piece(CHUNK))

    def _pieces(self, stream: IO[bytes]) -> Iterator[bytes]:
        while piece := stream.read(self._piece):
            self._pace.bytes.wait(len(piece))
            yield piece

    def _fetch(self, remote: Remote, compression: str, max_bytes: int) -> Fetched:
        digest, size = hashlib.sha256(), 0
        kept: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as it is read
        try:
            with self._told(), self._stream(remote) as stream:
                for chunk in self._pieces(stream):
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
        return Fetched(_path_of(remote), remote.name, compression, file=kept, sha256=digest.hexdigest())

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
            self._fs = SYSTEMS[self.location.scheme](urlsplit(self.location.value), self._options)
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


def _path_of(remote: Remote) -> Path:
    return Path(urlsplit(remote.path).path if "://" in remote.path else remote.path)


def key_of(remote: Remote) -> str:
    """What the bookmark calls a file: a hash, since names may be personal."""
    return hashlib.sha256(remote.path.encode()).hexdigest()[:16]
