"""One user's way to the target: treq's HTTPClient, with our own client underneath.

    page = await session.get("/items", name="items", timeout="2s")
    page.check(status=200, json="$.items")

A request is prepared bytes that go out in the call itself; what our client does not do (files,
streams, an agent of the user's) goes through stock treq and is counted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from json import dumps
from typing import Any
from urllib.parse import quote_plus, urlencode

from hyperlink import DecodedURL, EncodedURL
from treq._types import _NOTHING
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer

from rascal.language import parse, plain
from rascal.load.http.client import Client
from rascal.load.http.cookies import Jar
from rascal.load.http.exchange import Exchange
from rascal.load.http.pools import Pool
from rascal.load.http.response import Response
from rascal.load.http.urls import Origin, Template, Urls, basic, header_line
from rascal.load.http.wire import Head
from rascal.load.types import Call, Flow

_JSON = b"Content-Type: application/json; charset=UTF-8\r\n"
_FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
_OWN = frozenset((b"content-length", b"transfer-encoding"))
"""Headers that only the client itself writes."""


class Session(HTTPClient):
    """A user's HTTP session.

    Args:
        client: of this process.
        recorder: counts the calls (`rascal.load.recorder.Recorder`).
        base: what URLs without a scheme are behind.
        agent: carries all requests instead of our client (an `IAgent`, such as a ProxyAgent).

    Attributes:
        due: intended start of the next call, if it is the first of an iteration; 0.0 once taken.
        first: flow of the call that took `due` last.
        retrying: while `user.retry` runs, the list that calls go to instead of being recorded.
    """

    __slots__ = (
        "_jar",
        "_other",
        "_own_headers",
        "_pools",
        "_socket",
        "base",
        "client",
        "due",
        "first",
        "recorder",
        "retrying",
        "urls",
    )

    def __init__(
        self, client: Client, recorder: Any, base: str = "", *, agent: IAgent | None = None
    ) -> None:
        # Not HTTPClient's own: a jar for everybody costs more than all else a sleeping user has.
        self.client = client
        self.recorder = recorder
        self.base = base
        self.urls: Urls = client.urls(base)
        self.due = 0.0
        self.first: Flow | None = None
        self.retrying: list[Call] | None = None
        self._other = agent
        self._socket: Origin | None = None
        """The UNIX socket that stock treq is just being asked to talk to."""
        self._jar: Jar | None = None
        self._own_headers: dict[str, str] | None = None
        self._pools: dict[Origin, Pool] | None = None

    # -- what treq's own code looks at -------------------------------------------------------------
    @property
    def _agent(self) -> Any:  # type: ignore[override]
        return self._other or self.client.stock(self._socket)

    @property
    def _cookiejar(self) -> Jar:  # type: ignore[override]
        if self._jar is None:
            self._jar = Jar()
        return self._jar

    @property
    def _data_to_body_producer(self) -> Callable[[Any], Any]:  # type: ignore[override]
        return IBodyProducer

    @property
    def cookies(self) -> Jar:
        """The user's cookies (an `http.cookiejar.CookieJar`)."""
        return self._cookiejar

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with all requests of this user from now on."""
        if self._own_headers is None:
            self._own_headers = {}
        return self._own_headers

    # -- verbs -------------------------------------------------------------------------------------
    def get(
        self, url: Any, *, name: str | None = None, timeout: Any = None, **kwargs: Any
    ) -> Deferred[Response]:
        if kwargs or type(url) is not str or self._other is not None or self._own_headers:
            return self.request("GET", url, name=name, timeout=timeout, **kwargs)
        # The same as `request`, without what most requests do not have.
        template = self.urls.get("GET", url)
        seconds = (_seconds(timeout) if timeout is not None else 0.0) or self.client.timeout
        payload = template.data if self._jar is None else self.build(template, None, None)
        call = self._begin(name or template.name)
        exchange = Exchange(self, call, template, payload, seconds)
        self.pool(template.origin).start(exchange)
        return exchange.deferred

    def head(self, url: Any, **kwargs: Any) -> Deferred[Response]:
        return self.request("HEAD", url, **kwargs)

    def delete(self, url: Any, **kwargs: Any) -> Deferred[Response]:
        return self.request("DELETE", url, **kwargs)

    def options(self, url: Any, **kwargs: Any) -> Deferred[Response]:
        return self.request("OPTIONS", url, **kwargs)

    def post(self, url: Any, data: Any = None, **kwargs: Any) -> Deferred[Response]:
        return self.request("POST", url, data=data, **kwargs)

    def put(self, url: Any, data: Any = None, **kwargs: Any) -> Deferred[Response]:
        return self.request("PUT", url, data=data, **kwargs)

    def patch(self, url: Any, data: Any = None, **kwargs: Any) -> Deferred[Response]:
        return self.request("PATCH", url, data=data, **kwargs)

    def request(
        self,
        method: str,
        url: Any,
        *,
        name: str | None = None,
        timeout: Any = None,
        params: Any = None,
        headers: Any = None,
        data: Any = None,
        json: Any = _NOTHING,
        cookies: Any = None,
        allow_redirects: bool = True,
        browser_like_redirects: bool = False,
        auth: Any = None,
        files: Any = None,
        unbuffered: bool = False,
        reactor: Any = None,
        _stacklevel: int = 2,
    ) -> Deferred[Response]:
        """Send a request; see treq.request().

        Args:
            name: the flow that the call belongs to; method and path, without ids, if left out.
            timeout: of the whole request, redirects included ("2s", or seconds).

        Returns:
            A Deferred of a Response. It fails with RequestFailed if no usable reply comes.

        Raises:
            ValueError, TypeError: the arguments make no request; nothing is recorded.
        """
        client = self.client
        if type(url) is not str:
            url = _text_of(url)
        if params:
            url = _with_params(url, params)
        template = self.urls.get(method, url)
        seconds = (_seconds(timeout) if timeout is not None else 0.0) or client.timeout
        if files or unbuffered or self._other is not None or _unusual(data, auth):
            arguments = {
                "headers": headers,
                "data": data,
                "files": files,
                "json": json,
                "auth": auth,
                "cookies": cookies,
                "allow_redirects": allow_redirects,
                "browser_like_redirects": browser_like_redirects,
                "unbuffered": unbuffered,
            }
            return self._fall_back(template, seconds, name or template.name, arguments)
        named = body = None
        if headers or self._own_headers or auth:
            named = self._named(headers, auth)
        if data or json is not _NOTHING:
            body, kind = _body(data, json)
            if kind:
                named = named or {}
                named.setdefault(b"content-type", kind)
        if cookies:
            self._cookiejar.give(template, cookies)
        if named or body is not None or self._jar is not None:
            payload = self.build(template, named, body)
        else:
            payload = template.data

        call = self._begin(name or template.name)
        exchange = Exchange(self, call, template, payload, seconds)
        if named:
            exchange.named = named
        if not allow_redirects:
            exchange.follow = 0
        elif browser_like_redirects:
            exchange.follow = 2
        self.pool(template.origin).start(exchange)
        return exchange.deferred

    def _begin(self, name: str) -> Call:
        """A call of this flow begins now."""
        recorder = self.recorder
        started = self.client.now()
        flow = recorder.flow(name)
        due = self.due
        if due:
            self.due = 0.0
            self.first = flow
            call = Call(flow, due, started)
        else:
            call = Call(flow, started, started)
        recorder.begin()
        if self.retrying is not None:
            call.held = True
            self.retrying.append(call)
        return call

    # -- the bytes of a request --------------------------------------------------------------------
    def _named(self, headers: Any, auth: Any) -> dict[bytes, bytes]:
        """The header lines of one request, by lower-case name."""
        named: dict[bytes, bytes] = {}
        if self._own_headers:
            named.update(header_line(name, value) for name, value in self._own_headers.items())
        if headers:
            given: dict[bytes, bytes] = {}
            if isinstance(headers, Headers):
                headers = {name: list(values) for name, values in headers.getAllRawHeaders()}
            elif not isinstance(headers, Mapping):
                raise TypeError(
                    "headers is a dict or twisted.web.http_headers.Headers, found "
                    f"{type(headers).__name__}"
                )
            for name, value in headers.items():
                for one in value if isinstance(value, (list, tuple)) else (value,):
                    if not isinstance(one, (str, bytes)):
                        raise TypeError(
                            f"the value of header {name!r} is a {type(one).__name__}, "
                            "not a text or bytes"
                        )
                    lower, line = header_line(name, one)
                    if lower not in _OWN:
                        given[lower] = given.get(lower, b"") + line
            named.update(given)
        if auth:
            user, password = (_bytes(one) for one in auth)
            named[b"authorization"] = basic(user + b":" + password)
        return named

    def build(
        self, template: Template, named: dict[bytes, bytes] | None, body: bytes | None
    ) -> bytes:
        """The whole request."""
        lines = [template.start, template.defaults.lines]
        if named:
            if b"host" in named:
                lines[0] = template.start[: template.start.index(b"\n") + 1]
            lines[1] = template.defaults.without(named.keys())
            lines += named.values()
        if template.userinfo and not (named and b"authorization" in named):
            lines.append(template.authorization)
        if self._jar is not None and not (named and b"cookie" in named):
            lines.append(self._jar.line(template))
        if body is not None:
            lines += (b"Content-Length: %d\r\n\r\n" % len(body), body)
        else:
            lines.append(template.empty)
        return b"".join(lines)

    # -- connections -------------------------------------------------------------------------------
    def pool(self, origin: Origin) -> Pool:
        """Where this user's connections to an origin are."""
        client = self.client
        if not client.per_user:
            return origin.pool or client.pool(origin)
        if self._pools is None:
            self._pools = {}
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(client, origin, True)
        return pool

    def close(self) -> None:
        """The user goes: close the connections that are its own."""
        pools, self._pools = self._pools, None
        for pool in (pools or {}).values():
            pool.close()

    # -- for exchanges -----------------------------------------------------------------------------
    def take_cookies(self, template: Template, head: Head) -> None:
        """A reply sets cookies."""
        self._cookiejar.take(template, head)

    def finish(self, call: Call) -> None:
        """A call has ended, and the user's code that waited for it has run on: count it."""
        if call.held or call.recorded:
            return
        self.recorder.done(call)

    def sample(self, exchange: Any, response: Response | None) -> None:
        """Offer a failed exchange to be kept."""
        template = exchange.template
        reply = response.raw() if response is not None else b""
        self.recorder.sample(exchange.call, template.method, template.url, exchange.data, reply)

    def _fall_back(
        self, template: Template, seconds: float, name: str, arguments: dict[str, Any]
    ) -> Deferred[Response]:
        from rascal.load.http.fallback import fall_back

        return fall_back(self, template, seconds, name, arguments)


def _text_of(url: Any) -> str:
    if isinstance(url, str):
        return str(url)
    if isinstance(url, bytes):
        return url.decode("ascii")
    if isinstance(url, DecodedURL):
        url = url.encoded_url
    if isinstance(url, EncodedURL):
        return url.to_uri().to_text()
    raise TypeError(f"a URL is a text, bytes or a hyperlink URL, found {type(url).__name__}")


def _unusual(data: Any, auth: Any) -> bool:
    """Whether stock treq has to make the request."""
    if data and not isinstance(data, (bytes, str, dict, list, tuple, bytearray)):
        return True
    return bool(auth) and not isinstance(auth, tuple)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")


def _with_params(url: str, params: Any) -> str:
    """The URL with more in its query, written as treq writes it."""
    parts: list[str] = []
    for key, values in params.items() if isinstance(params, Mapping) else params:
        several = values if isinstance(values, (list, tuple)) else (values,)
        name = quote_plus(_bytes(key))
        parts += (f"{name}={quote_plus(_bytes(value))}" for value in several)
    url, hash_, fragment = url.partition("#")
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(parts)}{hash_}{fragment}"


def _body(data: Any, json: Any) -> tuple[bytes, bytes]:
    """The body's bytes and its Content-Type line."""
    if json is not _NOTHING:
        if data:
            raise TypeError("Argument 'json' cannot be combined with 'data'.")
        return dumps(json, separators=(",", ":")).encode("utf-8"), _JSON
    if isinstance(data, bytes):
        return data, b""
    if isinstance(data, str):
        return data.encode("utf-8"), b""
    if isinstance(data, bytearray):
        return bytes(data), b""
    return urlencode(data, doseq=True).encode("ascii"), _FORM


@lru_cache(256)
def _seconds(timeout: Any) -> float:
    if isinstance(timeout, str):
        return float(plain(parse("duration", timeout)))
    seconds = float(timeout or 0)
    if not 0 <= seconds < 1e9:
        raise ValueError(f"a time-out is a duration above 0, found {timeout}")
    return seconds
