"""A run's numbers for OpenTelemetry: OTLP over HTTP as JSON, once a second, without an SDK.

https://opentelemetry.io/docs/specs/otlp/ (1.x): POST to /v1/metrics; sums and histograms are
cumulative; 64-bit integers are texts and enums are numbers. Replies 429, 502, 503 and 504, and
connections that fail, are tried again, with growing pauses or after Retry-After; others are not.

Bodies wait in a queue that holds a minute; when it is full the oldest goes, which costs detail but
no counts. What goes wrong is told once.
"""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as Late
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers

from rascal import __version__
from rascal.errors import ConfigError
from rascal.load.outputs.metrics import BOUNDS, Labels, Metric, Spread

if TYPE_CHECKING:
    from rascal.load.outputs.live import Numbers

log = Logger()

PATH = "/v1/metrics"
QUEUE = 60
TIMEOUT = 5.0
"""Seconds for one request."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between tries, after the first, the second … failure on end."""
LONGEST = 60.0
"""Of what Retry-After asks for, seconds."""
LAST = 3.0
"""Seconds for what is left when the run has ended."""
REPLY = 65_536
"""Bytes of a reply that are read."""
AGAIN = (429, 502, 503, 504)
CUMULATIVE = 2


@attrs.frozen(kw_only=True)
class Collector:
    """Where numbers are sent."""

    url: str
    headers: Mapping[str, str] = attrs.Factory(dict)
    attributes: Mapping[str, str] = attrs.Factory(dict)
    """Of the resource; service.name is rascal without one."""


def collector(url: str, environment: Mapping[str, str]) -> Collector:
    """The collector of a URL; headers, attributes and the service's name as OpenTelemetry's own
    programs take them from the environment. Raises ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"'{url}' is no URL of a collector, such as http://127.0.0.1:4318", option="otlp"
        )
    user, there, host = parts.netloc.rpartition("@")
    path = parts.path if parts.path.rstrip("/") else PATH
    url = urlunsplit((parts.scheme, host, path, parts.query, ""))
    headers = _pairs(environment, "OTEL_EXPORTER_OTLP_HEADERS")
    if there:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    headers |= _pairs(environment, "OTEL_EXPORTER_OTLP_METRICS_HEADERS")
    attributes = _pairs(environment, "OTEL_RESOURCE_ATTRIBUTES")
    if environment.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = environment["OTEL_SERVICE_NAME"]
    return Collector(url=url, headers=headers, attributes=attributes)


def _pairs(environment: Mapping[str, str], name: str) -> dict[str, str]:
    found = {}
    for pair in environment.get(name, "").split(","):
        key, there, value = pair.partition("=")
        if not pair.strip():
            continue
        if not there or not key.strip():
            raise ConfigError(f"{name}: '{pair}' is no KEY=VALUE", option="otlp")
        found[unquote(key.strip())] = unquote(value.strip())
    return found


# ---- bodies


def body(
    metrics: list[Metric], run: str, attributes: Mapping[str, str], start: int, now: int
) -> bytes:
    """One request. Times are nanoseconds since 1970."""
    resource = {
        "service.name": "rascal",
        "service.version": __version__,
        "rascal.run": run,
        **attributes,
    }
    scope = {"name": "rascal.load", "version": __version__}
    made = [_metric(one, start, now) for one in metrics]
    data = {
        "resourceMetrics": [
            {
                "resource": {"attributes": _attributes(tuple(resource.items()))},
                "scopeMetrics": [{"scope": scope, "metrics": made}],
            }
        ]
    }
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def _attributes(labels: Labels) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in labels]


def _metric(metric: Metric, start: int, now: int) -> dict[str, Any]:
    points: list[dict[str, Any]] = []
    for point in metric.points:
        data: dict[str, Any] = {"attributes": _attributes(point.labels), "timeUnixNano": str(now)}
        if metric.kind != "gauge":
            data["startTimeUnixNano"] = str(start)
        if isinstance(point.value, Spread):
            data["count"] = str(sum(point.value.counts))
            data["sum"] = point.value.sum
            data["bucketCounts"] = [str(one) for one in point.value.counts]
            data["explicitBounds"] = list(BOUNDS)
        elif isinstance(point.value, int):
            data["asInt"] = str(point.value)
        else:
            data["asDouble"] = point.value
        points.append(data)
    holder: dict[str, Any] = {"dataPoints": points}
    if metric.kind != "gauge":
        holder["aggregationTemporality"] = CUMULATIVE
    if metric.kind == "counter":
        holder["isMonotonic"] = True
    kind = "sum" if metric.kind == "counter" else metric.kind
    return {
        "name": f"rascal.{metric.name}",
        "description": metric.help,
        "unit": metric.unit,
        kind: holder,
    }


# ---- sending


class Sender:
    """Sends what is due, one request at a time.

    Args:
        reactor: the reactor.
        to: the collector.
        numbers: where they come from.
        tell: says something to the user.
        now: the time of the day in nanoseconds.
        agent: sends requests; without one, Twisted's.
    """

    def __init__(
        self,
        reactor: Any,
        to: Collector,
        numbers: Numbers,
        tell: Callable[[str], None],
        *,
        now: Callable[[], int] = time.time_ns,
        agent: Any = None,
    ) -> None:
        self._reactor = reactor
        self._to = to
        self._numbers = numbers
        self._tell = tell
        self._now = now
        self._pool: Any = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 1
        self._agent = agent or Agent(reactor, connectTimeout=TIMEOUT, pool=self._pool)
        self._queue: deque[bytes] = deque()
        self._start = now()
        self._busy = False
        self._task: Deferred[None] | None = None
        self._pause: Any = None
        self._failures = 0
        self._warned = self._closing = False
        self._idle: Deferred[None] | None = None
        self._gathering = 0
        self.sent = self.lost = self.errors = 0

    def due(self) -> None:
        """There are newer numbers."""
        if self._closing:
            return
        self._gathering += 1
        self._numbers.get().addCallback(self._put).addErrback(
            lambda failure: log.failure("OpenTelemetry", failure)
        )

    def _put(self, metrics: list[Metric]) -> None:
        self._gathering -= 1
        if metrics:
            run, attributes = self._numbers.run, self._to.attributes
            self._queue.append(body(metrics, run, attributes, self._start, self._now()))
            if len(self._queue) > QUEUE:
                self._queue.popleft()
                self.lost += 1
        self._next()

    def _next(self) -> None:
        if self._busy or self._pause is not None:
            return
        if self._queue:
            self._busy = True
            self._task = Deferred.fromCoroutine(self._send(self._queue.popleft()))
            self._task.addErrback(lambda failure: failure.trap(CancelledError) and None)
        elif self._idle is not None and not self._gathering:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def _send(self, data: bytes) -> None:
        try:
            wait = await self._post(data)
            self.sent += wait is None
        except CancelledError:
            raise
        except Exception as error:
            self._went_wrong(_words(error))
            wait = 0.0
        self._busy = False
        if wait is None:
            self._failures = 0
            self._next()
            return
        self._failures += 1
        if len(self._queue) < QUEUE:
            self._queue.appendleft(data)
        else:
            self.lost += 1
        pause = max(min(wait, LONGEST), PAUSES[min(self._failures, len(PAUSES)) - 1])
        self._pause = self._reactor.callLater(pause, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._next()

    async def _post(self, data: bytes) -> float | None:
        """Send it. None: it is done with (taken or refused for good); else seconds to wait for."""
        headers = Headers(
            {"Content-Type": ["application/json"], "User-Agent": [f"rascal/{__version__}"]}
        )
        for name, value in self._to.headers.items():
            headers.setRawHeaders(name, [value])
        asked = self._agent.request(
            b"POST", self._to.url.encode(), headers, FileBodyProducer(BytesIO(data))
        )
        reply = await asked.addTimeout(TIMEOUT, self._reactor)
        beginning = _Beginning()
        reply.deliverBody(beginning)
        text = await beginning.ended.addTimeout(TIMEOUT, self._reactor)
        if 200 <= reply.code < 300:
            self._rejected(text)
            return None
        self._went_wrong(f"it answered {reply.code}")
        if reply.code in AGAIN:
            after = reply.headers.getRawHeaders("retry-after", ["0"])[0]
            return float(after) if after.isascii() and after.isdigit() else 0.0
        self.lost += 1
        self.sent -= 1
        return None

    def _rejected(self, text: bytes) -> None:
        """A collector may take a part only."""
        try:
            partial = json.loads(text or b"{}").get("partialSuccess") or {}
            count = int(partial.get("rejectedDataPoints") or 0)
        except (ValueError, AttributeError, TypeError):
            return
        if count:
            message = str(partial.get("errorMessage") or "")[:200]
            self._went_wrong(f"it refused {count} data points: {message}".rstrip(": "))

    def _went_wrong(self, why: str) -> None:
        self.errors += 1
        if not self._warned:
            self._warned = True
            self._tell(f"OpenTelemetry: {self._to.url}: {why}; the run goes on")

    async def close(self) -> None:
        """Send what is left, for a few seconds at most; then say what was lost."""
        self.due()
        self._closing = True
        if self._pause is not None:
            self._pause.cancel()
            self._go_on()
        if self._queue or self._busy or self._gathering:
            self._idle = Deferred()
            with suppress(Late):
                await self._idle.addTimeout(LAST, self._reactor)
            self._idle = None
        left = self.lost + len(self._queue) + self._busy
        self._queue.clear()
        if self._busy and self._task is not None:
            self._task.cancel()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        await self._pool.closeCachedConnections()
        if left:
            self._tell(f"OpenTelemetry: {left} of {left + self.sent} messages were not taken")


class _Beginning(Protocol):
    """The beginning of a reply's body; one that goes on and on is cut off."""

    def __init__(self) -> None:
        self.ended: Deferred[bytes] = Deferred(lambda _: self._cut())
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > REPLY:
            self._cut()
            self._end()

    def connectionLost(self, reason: Any = None) -> None:
        self._end()

    def _cut(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def _end(self) -> None:
        if not self.ended.called:
            self.ended.callback(bytes(self._data[:REPLY]))


def _words(error: Exception) -> str:
    """What went wrong, in a line."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        error = reasons[0].value
    if isinstance(error, Late | ConnectTimeout):
        return f"no answer within {TIMEOUT:g}s"
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
