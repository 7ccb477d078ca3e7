"""dlt's REST client within bounds: one host, pages of bounded size, and errors that say what to do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import requests
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.auth import (
    APIKeyAuth,
    BearerTokenAuth,
    HttpBasicAuth,
    OAuth2ClientCredentials,
)
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.rest_api.config_setup import create_paginator
from requests.adapters import HTTPAdapter

from onefold_storage.errors import BadContract, BadInput, OnefoldError, Unavailable
from onefold_storage.pace import Pace
from onefold_workers.connectors._locations import Location, read, secret

if TYPE_CHECKING:
    from onefold_workers.connectors.rest import Auth, RestOptions

_CHUNK = 1 << 18
_MAX_DELAY_S = 300.0
_RENEWED = "renewed"


def pages(location: Location, options: RestOptions, params: dict[str, Any], where: str) -> Iterator[list[Any]]:
    """The rows of each page, in order; see `rest.py` for the errors."""
    session = Client(
        request_timeout=(min(options.timeout_s, 10.0), options.timeout_s),
        raise_for_status=False,
        request_max_attempts=options.attempts,
        request_max_retry_delay=_MAX_DELAY_S,
    ).session
    session.max_redirects = 0
    paced = _Paced(Pace(options.requests_per_second))
    session.mount("https://", paced)
    session.mount("http://", paced)
    host = urlsplit(location.value).netloc
    auth = _auth(options.auth, session, f"{where}: onefold.options.auth")
    client = RESTClient(
        location.value,
        headers=options.headers,
        auth=auth,
        paginator=_paginator(options, where),
        data_selector=options.records,
        session=session,
        config=RuntimeConfiguration(),
    )
    origin = f"{urlsplit(location.value).hostname}{urlsplit(location.value).path}"

    def bounded(response: requests.Response, *_args: Any, **given: Any) -> requests.Response | None:
        if response.status_code == 401 and isinstance(auth, OAuth2ClientCredentials) and _RENEWED not in given:
            return _again(response, auth, session, given)
        if response.status_code == 429 or response.status_code >= 500:  # asked again, but for the last attempt
            response.close()
            response.json = partial(_gave_up, response.status_code, origin)  # type: ignore[method-assign]
            return None
        _refused(response, origin)
        _read(response, options, origin)
        return None

    try:
        hooks: Any = {"response": [bounded]}
        found = client.paginate(params=params or None, hooks=hooks, stream=True)
        for number, page in enumerate(found, start=1):
            yield list(page)
            if not page.paginator.has_next_page:
                return
            if number >= options.max_pages:
                raise BadInput(f"{origin}: more than {options.max_pages} pages; raise `max_pages` or ask for less")
            following = urlsplit(str(page.request.url)).netloc
            if following and following != host:
                raise BadInput(f"{origin}: the next page is on another host, {following}; nothing is sent there")
    except OnefoldError:
        raise
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Unavailable(f"{origin}: does not answer ({type(error).__name__})") from None
    except requests.RequestException as error:
        raise BadInput(f"{origin}: cannot be asked ({type(error).__name__})") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"the answer cannot be paged through ({type(error).__name__})"
        raise BadInput(f"{origin}: {problem}; set `paginator` and `records`") from None


class _Paced(HTTPAdapter):
    """Sends no request before its time."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._pace.wait()
        return super().send(*args, **kwargs)


def _refused(response: requests.Response, origin: str) -> None:
    status = response.status_code
    if status < 300:
        return
    response.close()
    if status in (401, 403):
        raise BadInput(f"{origin}: refused the credentials ({status}); check what `auth` names")
    if status < 400:
        raise BadInput(f"{origin}: redirects ({status}); write the address that it redirects to")
    raise BadInput(f"{origin}: answered {status}; check the address and `params`")


def _again(
    response: requests.Response, auth: OAuth2ClientCredentials, session: requests.Session, given: dict[str, Any]
) -> requests.Response:
    """The same request with a new token: the old one may have ended sooner than was said."""
    response.close()
    auth.obtain_token()
    request = auth(response.request.copy())
    hooks = request.hooks["response"]
    request.hooks = {"response": [partial(hook, **{_RENEWED: True}) for hook in hooks]}
    return session.send(request, **given)


def _gave_up(status: int, origin: str, **_kwargs: Any) -> Any:
    raise Unavailable(f"{origin}: answered {status} after all attempts; try again later")


def _read(response: requests.Response, options: RestOptions, origin: str) -> None:
    """Read the body within its bounds and keep it parsed, so that it is parsed once."""
    ends = time.monotonic() + options.timeout_s * 2
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > options.max_page_bytes:
            response.close()
            raise BadInput(f"{origin}: a page is larger than {options.max_page_bytes} bytes; ask for smaller pages")
        if time.monotonic() > ends:
            response.close()
            raise Unavailable(f"{origin}: stalls in the middle of a page")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = _odd_json(bytes(body), origin)
    response._content = bytes(body)
    response.json = lambda **_kwargs: parsed  # type: ignore[method-assign]


def _odd_json(body: bytes, origin: str) -> Any:
    """What orjson refuses and Python reads (integers of any length); a nesting too deep is refused by both."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadInput(f"{origin}: expected JSON, found {len(body)} bytes of something else") from None


def _auth(given: Auth | None, session: requests.Session, where: str) -> Any:
    if given is None:
        return None

    def named(name: str) -> str:
        value = getattr(given, name)
        if value is None:
            raise BadContract(f"{where}: {given.type} needs `{name}`")
        return secret(value, f"{where}.{name}").value

    if given.type == "bearer":
        return BearerTokenAuth(token=named("token"))
    if given.type == "api_key":
        return APIKeyAuth(name=given.name, api_key=named("token"), location=given.location)
    if given.type == "http_basic":
        if given.username is None:
            raise BadContract(f"{where}: http_basic needs `username`")
        return HttpBasicAuth(username=given.username, password=named("password"))
    if given.token_url is None or given.client_id is None:
        raise BadContract(f"{where}: oauth2_client_credentials needs `token_url` and `client_id`")
    return OAuth2ClientCredentials(
        access_token_url=read(given.token_url, f"{where}.token_url").value,
        client_id=given.client_id,
        client_secret=named("client_secret"),
        session=session,
    )


def _paginator(options: RestOptions, where: str) -> Any:
    try:
        given: Any = options.paginator
        return create_paginator(given)
    except (ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        raise BadContract(f"{where}: onefold.options.paginator: {said}") from None
