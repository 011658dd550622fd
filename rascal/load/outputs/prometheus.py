"""A run's numbers for Prometheus: GET /metrics, as text 0.0.4 or OpenMetrics 1.0."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from rascal import __version__
from rascal.errors import LoadError
from rascal.exposition import Exposition, Samples, labels, wants_openmetrics
from rascal.load.outputs.metrics import BOUNDS, Metric, Spread

if TYPE_CHECKING:
    from rascal.language.values import Address
    from rascal.load.outputs.live import Numbers

SUFFIXES = {"s": "_seconds", "By": "_bytes"}
IDLE = 30.0
"""Seconds after which a scraper that says nothing is left."""
CONNECTIONS = 32
HINT = b"The numbers of a load run are at /metrics\n"


def exposition(metrics: list[Metric], run: str, *, openmetrics: bool) -> Exposition:
    """The metrics as text."""
    out = Exposition(openmetrics)
    out.info("rascal_load_run", "The run", labels(run=run, version=__version__))
    for metric in metrics:
        name = f"rascal_{metric.name.replace('.', '_')}{SUFFIXES.get(metric.unit, '')}"
        if metric.kind == "histogram":
            out.histogram(
                name,
                metric.help,
                [
                    (labels(**dict(point.labels)), BOUNDS, point.value.counts, point.value.sum)
                    for point in metric.points
                    if isinstance(point.value, Spread)
                ],
            )
            continue
        samples: Samples = [
            (labels(**dict(point.labels)), point.value)
            for point in metric.points
            if not isinstance(point.value, Spread)
        ]
        if metric.kind == "counter":
            out.counter(name, metric.help, samples)
        else:
            out.gauge(name, metric.help, samples)
    return out


class _Root(Resource):
    """Answers GET and HEAD."""

    isLeaf = True

    def __init__(self, numbers: Numbers) -> None:
        super().__init__()
        self._numbers = numbers

    def render_GET(self, request: Any) -> Any:
        if request.path != b"/metrics":
            request.setResponseCode(404)
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return HINT
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)
        openmetrics = wants_openmetrics(request.getHeader("accept") or "")

        def answer(metrics: list[Metric]) -> None:
            if gone:
                return
            out = exposition(metrics, self._numbers.run, openmetrics=openmetrics)
            body = out.text().encode()
            request.setHeader(b"Content-Type", out.kind.encode())
            request.setHeader(b"Content-Length", str(len(body)).encode())
            request.write(body if request.method != b"HEAD" else b"")
            request.finish()

        self._numbers.get().addCallback(answer)
        return NOT_DONE_YET


class _Site(Site):
    """Keeps no log."""

    noisy = False

    def log(self, request: Any) -> None:
        """Nothing."""


class _Limited(WrappingFactory):
    """Knows its connections, and takes no more than a few."""

    noisy = False

    def buildProtocol(self, addr: Any) -> Any:
        return super().buildProtocol(addr) if len(self.protocols) < CONNECTIONS else None


class Exporter:
    """Serves the numbers."""

    def __init__(self, reactor: Any, numbers: Numbers) -> None:
        self._reactor = reactor
        self._factory = _Limited(_Site(_Root(numbers), timeout=IDLE, reactor=reactor))
        self._port: Any = None

    async def listen(self, where: Address) -> str:
        """Listen there, and give the URL. Raises LoadError."""
        endpoint: Any
        if where.type == "unix":
            endpoint = UNIXServerEndpoint(self._reactor, where.path)
        elif ":" in where.host:
            endpoint = TCP6ServerEndpoint(self._reactor, where.port, interface=where.host)
        else:
            endpoint = TCP4ServerEndpoint(self._reactor, where.port, interface=where.host)
        try:
            self._port = await endpoint.listen(self._factory)
        except (CannotListenError, OSError, socket.gaierror) as error:
            reason = getattr(error, "socketError", error)
            raise LoadError(
                f"--prometheus: cannot listen there ({getattr(reason, 'strerror', '') or reason})"
            ) from error
        if where.type == "unix":
            return where.path
        host = f"[{where.host}]" if ":" in where.host else where.host
        return f"http://{host}:{self._port.getHost().port}/metrics"

    async def close(self) -> None:
        """Listen no longer; connections are closed."""
        if self._port is not None:
            await self._port.stopListening()
        for protocol in list(self._factory.protocols):
            protocol.loseConnection()
