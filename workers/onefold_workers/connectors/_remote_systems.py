"""The three ways to files elsewhere, opened by fsspec with an end to every wait."""

from __future__ import annotations

from typing import Any

import fsspec

_CONNECT_S, _READ_S = 10, 60


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


SYSTEMS = {"s3": _s3, "http": _http, "https": _http, "sftp": _sftp}
