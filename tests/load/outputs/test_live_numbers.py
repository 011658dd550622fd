"""The numbers of a run that goes on: gathered, as Prometheus reads them, as OTLP sends them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import pytest_twisted
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from store.made_runs import reports
from treq import content, get
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from within import within

from rascal.errors import ConfigError, LoadError
from rascal.histogram import Histogram
from rascal.language import parse
from rascal.load.outputs.live import STEP, Both, Exports, Numbers
from rascal.load.outputs.metrics import BOUNDS, METRICS, Gatherer, Metric, Spread, spread
from rascal.load.outputs.otlp import LAST, QUEUE, TIMEOUT, Collector, Sender, body, collector
from rascal.load.outputs.prometheus import exposition
from rascal.load.results import Results
from rascal.load.running import Snapshot
from rascal.load.types import Report, Row


def snapshot(results: Results, second: int = 0) -> Snapshot:
    return Snapshot(run="7", second=second, closed=results.closed, results=results, planned=40.0)


def reported(seconds: int = 12) -> Results:
    results = Results("7")
    for report in reports(1, seconds=seconds):
        results.add(report)
    return results


def all_of(steps: Iterator[list[Metric] | None]) -> dict[str, Metric]:
    found = None
    for found in steps:  # noqa: B007
        pass
    assert found is not None
    return {one.name: one for one in found}


def values(metric: Metric) -> dict[tuple[str, ...], Any]:
    return {tuple(value for _, value in one.labels): one.value for one in metric.points}


# ---- gathered


def test_numbers_are_the_sums_of_all_reports() -> None:
    results = reported()
    found = all_of(Gatherer().steps(snapshot(results, 12)))
    checkout = results.total("flow", ["checkout"])
    calls = values(found["load.calls"])
    assert {name: times for (flow, name), times in calls.items() if flow == "checkout"} == {
        name: times for name, times in checkout.outcomes.items() if times
    }
    assert values(found["load.attempts"])["checkout",] == checkout.attempts
    assert values(found["load.sent"])["checkout",] == checkout.sent
    assert values(found["load.agent.cpu"]) == {("agent-1",): 0.25, ("agent-2",): 0.25}
    assert values(found["load.in_flight"]) == {(): 6}
    assert values(found["load.arrivals.wanted"]) == {(): 40.0}
    assert list(found) == [f"load.{name}" for name in METRICS]


def test_there_is_a_step_for_each_flow() -> None:
    steps = list(Gatherer().steps(snapshot(reported())))
    assert steps[:-1] == [None] * 4 and steps[-1]


def test_seconds_of_agents_are_counted_once() -> None:
    results, gatherer = Results("7"), Gatherer()
    found: dict[str, Metric] = {}
    for report in reports(1):
        results.add(report)
        found = all_of(gatherer.steps(snapshot(results)))
    assert values(found["load.agent.connections"]) == {("agent-1",): 12, ("agent-2",): 12}
    assert values(found["load.agent.unsound"]) == {("agent-1", "lag"): 1, ("agent-2", "lag"): 1}


def test_coarse_buckets_hold_every_value() -> None:
    draw = random.Random(3)
    raw = [draw.lognormvariate(-4, 2) for _ in range(3000)]
    histogram = Histogram()
    for value in raw:
        histogram.record(round(value * 1e6))
    found = spread(histogram)
    assert sum(found.counts) == len(raw)
    assert found.sum == pytest.approx(sum(raw), rel=1e-4)
    reached = 0
    for bound, count in zip(BOUNDS, found.counts, strict=False):
        reached += count
        near = sum(one <= bound * 0.996 for one in raw), sum(one <= bound * 1.004 for one in raw)
        assert near[0] <= reached <= near[1]


def test_what_was_counted_never_falls() -> None:
    results, gatherer = Results("7"), Gatherer()

    def add(sequence: int, served: int, failed: int, value: int) -> dict[str, Metric]:
        row = Row()
        row.outcomes = {"served": served, "check_failed": failed}
        row.planned = row.started = served + failed
        row.served.record(value, served)
        rows = {("flow", "a", 0): row}
        results.add(Report(run="7", agent="x", sequence=sequence, second=sequence, rows=rows))
        return all_of(gatherer.steps(snapshot(results)))

    add(0, 5, 0, 3000)
    found = add(1, -2, 2, 3000)  # a check that failed after the reply was counted
    assert values(found["load.calls"]) == {("a", "served"): 5, ("a", "check_failed"): 2}
    (latency,) = values(found["load.latency"]).values()
    assert sum(latency.counts) == 5 and latency.sum == pytest.approx(0.015)
    found = add(2, 4, 0, 800_000)
    assert values(found["load.calls"])["a", "served"] == 7
    (latency,) = values(found["load.latency"]).values()
    assert sum(latency.counts) == 7 and min(latency.counts) == 0


def test_numbers_are_gathered_once_a_snapshot_and_in_steps() -> None:
    clock = Clock()
    numbers = Numbers(clock)
    early: list[Any] = []
    numbers.get().addCallback(early.append)
    assert early == [[]]
    numbers.put(snapshot(reported()))
    found: list[Any] = []
    numbers.get().addCallback(found.append)
    numbers.get().addCallback(found.append)
    assert found == [] and len(clock.getDelayedCalls()) == 1
    for _ in range(4):
        clock.advance(STEP)
    assert len(found) == 2 and found[0] is found[1]
    numbers.get().addCallback(found.append)
    assert found[2] is found[0] and not clock.getDelayedCalls()


def test_trouble_with_numbers_is_none_of_the_runs_business(logged_failures: Any) -> None:
    class Deaf:
        seen: list[str]

        def __init__(self) -> None:
            self.seen = []

        def began(self, run: str, control: Any) -> None:
            self.seen.append(run)

        def snapshot(self, snapshot: Any) -> None:
            self.seen.append("snapshot")

        def event(self, event: Any) -> None:
            self.seen.append("event")

    class Broken:
        def began(self, run: str) -> None:
            raise ValueError("no")

        def snapshot(self, snapshot: Any) -> None:
            raise ValueError("no")

    first = Deaf()
    both = Both(first, Broken())
    both.began("7", None)  # type: ignore[arg-type]
    both.snapshot(snapshot(Results()))
    both.event(None)  # type: ignore[arg-type]
    assert first.seen == ["7", "snapshot", "event"]
    assert len(logged_failures.flush(ValueError)) == 2


# ---- Prometheus


def families(text: str, *, open_: bool) -> Mapping[str, Any]:
    return {one.name: one for one in (openmetrics if open_ else prometheus)(text)}


@pytest.mark.parametrize("open_", [False, True])
def test_the_exposition_is_read_by_the_library_of_others(open_: bool) -> None:
    results = reported()
    metrics = list(all_of(Gatherer().steps(snapshot(results))).values())
    text = exposition(metrics, 'a"b', openmetrics=open_).text()
    found = families(text, open_=open_)
    calls = {
        (one.labels["flow"], one.labels["outcome"]): one.value
        for one in found["rascal_load_calls"].samples
        if one.name.endswith("_total")
    }
    total = results.total("flow", ["checkout"])
    assert calls["checkout", "served"] == total.outcomes["served"]
    latency = found["rascal_load_latency_seconds"].samples
    counts = [
        one.value
        for one in latency
        if one.name.endswith("_count") and one.labels == {"flow": "checkout", "reply": "served"}
    ]
    assert counts == [total.served.count]
    assert {"rascal_load_sent_bytes", "rascal_load_agent_lag_seconds"} <= set(found)
    info = found["rascal_load_run" if open_ else "rascal_load_run_info"]
    assert info.samples[0].labels["run"] == 'a"b'


@pytest_twisted.ensureDeferred
async def test_a_scraper_gets_the_numbers_and_nothing_else() -> None:
    from twisted.internet import reactor

    said: list[str] = []
    exports = Exports(reactor, said.append, prometheus=parse("address", "127.0.0.1:0"))
    await exports.open()
    try:
        url = said[0].removeprefix("numbers for Prometheus: ")
        listener = exports.beside(Quiet())
        listener.began("7", None)  # type: ignore[arg-type]
        reply = await within(5, get(url, persistent=False))
        assert reply.code == 200 and 'run="7"' in (await content(reply)).decode()
        listener.snapshot(snapshot(reported()))
        reply = await within(5, get(url, persistent=False))
        text = (await content(reply)).decode()
        assert reply.headers.getRawHeaders("content-type") == [
            "text/plain; version=0.0.4; charset=utf-8"
        ]
        assert "rascal_load_calls" in families(text, open_=False)
        accept = {"Accept": "application/openmetrics-text"}
        reply = await within(5, get(url, headers=accept, persistent=False))
        assert (await content(reply)).endswith(b"# EOF\n")
        reply = await within(5, get(url.replace("/metrics", "/x"), persistent=False))
        assert reply.code == 404 and b"/metrics" in await content(reply)
        taken = url.split("/")[2]
        other = Exports(reactor, said.append, prometheus=parse("address", taken))
        with pytest.raises(LoadError, match="--prometheus: cannot listen there"):
            await other.open()
    finally:
        await within(5, exports.close())


class Quiet:
    """A listener."""

    def began(self, run: str, control: Any) -> None: ...
    def snapshot(self, snapshot: Any) -> None: ...
    def event(self, event: Any) -> None: ...


# ---- OpenTelemetry


def test_bodies_are_as_otlp_wants_them() -> None:
    metrics = list(all_of(Gatherer().steps(snapshot(reported()))).values())
    data = json.loads(body(metrics, "7", {"service.name": "shop"}, 1_000, 2_000))
    (resource,) = data["resourceMetrics"]
    attributes = {
        one["key"]: one["value"]["stringValue"] for one in resource["resource"]["attributes"]
    }
    assert attributes["service.name"] == "shop" and attributes["rascal.run"] == "7"
    found = {one["name"]: one for one in resource["scopeMetrics"][0]["metrics"]}
    calls = found["rascal.load.calls"]["sum"]
    assert (calls["aggregationTemporality"], calls["isMonotonic"]) == (2, True)
    point = calls["dataPoints"][0]
    assert point["asInt"].isdigit() and point["startTimeUnixNano"] == "1000"
    latency = found["rascal.load.latency"]["histogram"]
    assert latency["aggregationTemporality"] == 2 and "isMonotonic" not in latency
    for point in latency["dataPoints"]:
        assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
        assert sum(map(int, point["bucketCounts"])) == int(point["count"])
    gauge = found["rascal.load.agent.cpu"]["gauge"]
    assert gauge["dataPoints"][0]["asDouble"] == 0.25
    assert "startTimeUnixNano" not in gauge["dataPoints"][0] and "aggregation" not in str(gauge)


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("http://h:4318", "http://h:4318/v1/metrics"),
        ("http://h:4318/", "http://h:4318/v1/metrics"),
        ("https://h/otlp/v1/metrics?x=1", "https://h/otlp/v1/metrics?x=1"),
    ],
)
def test_collectors(url: str, sent_to: str) -> None:
    assert collector(url, {}) == Collector(url=sent_to)


def test_collectors_take_what_the_environment_says() -> None:
    found = collector(
        "http://ann:se%40cret@h:1",
        {
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, y=1=2",
            "OTEL_RESOURCE_ATTRIBUTES": "team=shop",
            "OTEL_SERVICE_NAME": "evening",
        },
    )
    assert found.url == "http://h:1/v1/metrics"
    assert found.headers == {"x-key": "a b", "y": "1=2", "Authorization": "Basic YW5uOnNlQGNyZXQ="}
    assert found.attributes == {"team": "shop", "service.name": "evening"}
    for url in ("h:4318", "ftp://h", "http://", ""):
        with pytest.raises(ConfigError, match="no URL of a collector"):
            collector(url, {})
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS: 'x' is no KEY=VALUE"):
        collector("http://h", {"OTEL_EXPORTER_OTLP_HEADERS": "x"})


class Reply:
    """As Twisted's."""

    def __init__(self, code: int, body: bytes = b"", after: str = "", ends: bool = True) -> None:
        self.code, self.body, self.ends = code, body, ends
        self.headers = Headers({"Retry-After": [after]} if after else {})
        self.cut = False

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        reply = self

        class Transport:
            def loseConnection(self) -> None:
                reply.cut = True

        protocol.transport = Transport()
        protocol.dataReceived(self.body)
        if self.ends:
            protocol.connectionLost(None)


class Agent:
    """Remembers what was sent, and answers as it is told; without words, not at all."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.sent: list[bytes] = []
        self.urls: list[bytes] = []
        self.headers: list[Headers] = []
        self.cancelled = 0

    def request(self, method: bytes, url: bytes, headers: Headers, body: Any) -> Deferred[Any]:
        self.urls.append(url)
        self.headers.append(headers)
        self.sent.append(body._inputFile.read())
        if not self.replies:
            return Deferred(lambda _: setattr(self, "cancelled", self.cancelled + 1))
        reply = self.replies.pop(0)
        found: Deferred[Any] = Deferred()
        if isinstance(reply, Exception):
            found.errback(Failure(reply))
        else:
            found.callback(reply)
        return found


class Sending:
    """A sender on a clock."""

    def __init__(self, *replies: Any) -> None:
        self.clock = Clock()
        self.agent = Agent(*replies)
        self.said: list[str] = []
        self.numbers = Numbers(self.clock)
        self.numbers.run = "7"
        self.results = reported(3)
        self.time = 0
        to = Collector(url="http://h/v1/metrics", headers={"x-key": "k"})
        self.sender = Sender(
            self.clock, to, self.numbers, self.said.append, now=self._now, agent=self.agent
        )

    def _now(self) -> int:
        self.time += 1
        return self.time

    def second(self, times: int = 1) -> None:
        """A snapshot, and then a second that goes by."""
        for _ in range(times):
            self.numbers.put(snapshot(self.results))
            self.sender.due()
            for _ in range(100):
                self.clock.advance(0.01)

    def times(self) -> list[str]:
        """Of the bodies that were sent, the time that is in them."""
        found = []
        for one in self.agent.sent:
            metric = json.loads(one)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
            found.append(metric["gauge"]["dataPoints"][0]["timeUnixNano"])
        return found


def test_each_second_is_sent() -> None:
    it = Sending(Reply(200, b"{}"), Reply(200), Reply(202))
    it.second(3)
    assert it.times() == ["2", "3", "4"] and it.sender.sent == 3 and it.said == []
    headers = it.agent.headers[0]
    assert headers.getRawHeaders("content-type") == ["application/json"]
    assert headers.getRawHeaders("x-key") == ["k"]


def test_a_collector_that_is_away_gets_it_later_in_order_and_is_told_of_once() -> None:
    it = Sending(ConnectionRefusedError(), Reply(503), Reply(429, after="5"), *[Reply(200)] * 9)
    it.second()
    assert it.said == [
        "OpenTelemetry: http://h/v1/metrics: Connection was refused by other side; the run goes on"
    ]
    it.second(3)
    assert it.times() == ["2", "2", "2"]  # at 0, 1 and 3 s, then not before 8 s
    it.second(4)
    assert len(it.times()) == 3
    it.second(2)
    assert it.times()[3:] == [str(at) for at in range(2, 12)][: len(it.times()) - 3]
    assert it.sender.sent == 9 and it.sender.lost == 0 and it.sender.errors == 3
    assert len(it.said) == 1


def test_what_is_refused_is_not_sent_again() -> None:
    it = Sending(Reply(400), Reply(200, b'{"partialSuccess":{"rejectedDataPoints":"3"}}'))
    it.second(2)
    assert it.times() == ["2", "3"]
    assert (it.sender.sent, it.sender.lost, it.sender.errors) == (1, 1, 2)
    assert it.said == ["OpenTelemetry: http://h/v1/metrics: it answered 400; the run goes on"]


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"partialSuccess":{"rejectedDataPoints":"x"}}'])
def test_replies_that_make_no_sense_are_taken_as_they_are(text: bytes) -> None:
    it = Sending(Reply(200, text))
    it.second()
    assert it.sender.sent == 1 and it.said == []


def test_the_queue_is_bounded_and_loses_the_oldest() -> None:
    it = Sending(*[ConnectionRefusedError()] * 100)
    it.second(QUEUE + 20)
    assert len(it.sender._queue) == QUEUE and it.sender.lost == 20
    newest = json.loads(it.sender._queue[-1])
    assert f'"timeUnixNano": "{QUEUE + 21}"' in json.dumps(newest)
    assert len(it.agent.sent) < 10  # pauses grow


def test_a_collector_that_hangs_is_left() -> None:
    it = Sending()
    it.second(int(TIMEOUT) + 1)
    assert it.agent.cancelled == 1 and it.sender.errors == 1
    assert it.said == ["OpenTelemetry: http://h/v1/metrics: no answer within 5s; the run goes on"]


def test_a_reply_that_goes_on_and_on_is_cut_off() -> None:
    endless = Reply(200, b"x" * 100_000, ends=False)
    silent = Reply(200, b"x", ends=False)
    it = Sending(endless, silent)
    it.second(2)
    assert endless.cut and it.sender.sent == 1
    it.second(int(TIMEOUT))
    assert silent.cut and it.sender.sent == 1 and it.sender.errors == 1


def test_the_end_waits_for_what_is_left_but_not_for_long() -> None:
    it = Sending(ConnectionRefusedError(), *[Reply(200)] * 3)
    it.second()
    ended: list[Any] = []
    Deferred.fromCoroutine(it.sender.close()).addCallback(ended.append)
    it.clock.pump([0.01] * 10)
    assert ended == [None] and it.sender.sent == 2 and len(it.said) == 1
    it.sender.due()
    assert len(it.agent.sent) == 3 and not it.clock.getDelayedCalls()

    it = Sending()
    it.second(2)
    ended = []
    Deferred.fromCoroutine(it.sender.close()).addCallback(ended.append)
    it.clock.pump([0.1] * int(LAST * 10 - 1))
    assert ended == []
    it.clock.pump([0.1] * 2)
    assert ended == [None] and it.agent.cancelled == 1
    assert it.said == ["OpenTelemetry: 3 of 3 messages were not taken"]
    assert not it.clock.getDelayedCalls()


def test_spreads_of_nothing() -> None:
    assert spread(Histogram()) == Spread([0] * (len(BOUNDS) + 1), 0.0)
