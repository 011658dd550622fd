"""What is scraped: that it can be read, that it adds up, and that its labels are bounded."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from rascal.control import _measures as measures
from rascal.exposition import Exposition, escape, labels, wants_openmetrics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "rascal.json"


@pytest.fixture
def ask(node: Any) -> Any:
    from asking import Asker

    from rascal.control._site import make_site

    return Asker(make_site(node, reactor=node.reactor))


def scrape(ask: Any, accept: str = "") -> dict[str, Any]:
    """The families of a scrape by name."""
    answer = ask("GET", "/metrics", headers={"Accept": accept} if accept else {})
    assert answer.status == 200, answer.body
    parse = openmetrics if "openmetrics" in answer.headers["content-type"] else prometheus
    return {family.name: family for family in parse(answer.body.decode())}


def value(families: dict[str, Any], name: str, **wanted: str) -> float | None:
    """The value of one sample."""
    for family in families.values():
        for sample in family.samples:
            if sample.name == name and sample.labels == wanted:
                return float(sample.value)
    return None


def end(taken: int) -> Any:
    """An end of a connection that has read so much."""
    return SimpleNamespace(taken=taken, sent=0)


def finished(node: Any, proxy: str, command: str, seconds: float, outcome: str = "ok") -> None:
    """An exchange is over."""
    from rascal.wire.types import Head

    owner = node.proxies[proxy]
    exchange = SimpleNamespace(
        connection=SimpleNamespace(number=1, client_address="127.0.0.1"),
        protocol=owner.spec.protocol,
        n=1,
        head=Head(command),
        reply_head=None,
        began=1.0,
        ended=1.0 + seconds,
        outcome=outcome,
        struck=[],
        reply_size=5,
        size=10,
    )
    owner.recent.finished(exchange)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_everything_is_measured(ask: Any, node: Any, accept: str) -> None:
    gate = node.proxies["cache"].gate
    gate.counts.connections = 7
    gate.counts.peers = 3
    gate.counts.ends.update({"slow": 1, "another fault": 1, "client gone": 1})
    gate.counts.dials.update({"ok": 6, "refused": 1})
    gate.counts.notes.update({"a": 2, "b": 3})
    gate.connections[1] = SimpleNamespace(client=end(100), upstream=end(900))
    gate.connections[2] = SimpleNamespace(client=end(11), upstream=None)
    fault = gate.faults["slow"]
    fault.matched, fault.fired, fault.reserved = 10, 5, 1
    fault.skipped.update({"probability": 3, "count": 1})
    node.budget.add(5000)
    node.budget.add(-1000)
    finished(node, "cache", "GET", 0.003)
    finished(node, "cache", "GET", 7.0, "reply lost")
    finished(node, "cache", "NONSENSE", 0.003)
    ask("GET", "/api/v1/proxies")
    ask("GET", "/api/v1/nowhere")
    ask("BREW", "/api/v1/proxies")
    found = scrape(ask, accept)
    gate.connections.clear()

    def of(name: str, **wanted: str) -> float | None:
        return value(found, name, **wanted)

    assert of("rascal_connections_total", proxy="cache") == 7
    assert of("rascal_connections_open", proxy="cache") == 2
    assert of("rascal_connections_ended_total", proxy="cache", reason="peers") == 3
    assert of("rascal_connections_ended_total", proxy="cache", reason="fault") == 2
    assert of("rascal_connections_ended_total", proxy="cache", reason="client gone") == 1
    assert of("rascal_dials_total", proxy="cache", outcome="refused") == 1
    assert of("rascal_bytes_total", proxy="cache", direction="to_upstream") == 111
    assert of("rascal_bytes_total", proxy="cache", direction="to_client") == 900
    assert of("rascal_notes_total", proxy="cache") == 5
    assert of("rascal_proxies") == 2
    assert of("rascal_proxy_listening", proxy="cache") == 0
    assert of("rascal_fault_armed", proxy="cache", fault="slow", kind="delay") == 1
    assert of("rascal_fault_armed", proxy="cache", fault="steps", kind="script") == 1
    assert of("rascal_fault_matched_total", proxy="cache", fault="slow") == 10
    assert of("rascal_fault_fired_total", proxy="cache", fault="slow") == 5
    skipped = {"proxy": "cache", "fault": "slow", "reason": "probability"}
    assert of("rascal_fault_skipped_total", **skipped) == 3
    assert of("rascal_fault_waiting", proxy="cache", fault="slow") == 0
    assert of("rascal_held_bytes") == 4000
    assert of("rascal_held_bytes_peak") == 5000
    assert of("rascal_panic") == 0
    assert of("rascal_exchanges_sampled_total", proxy="cache", outcome="ok") == 2
    assert of("rascal_exchanges_watched", proxy="cache") == 0
    name, of_get = "rascal_exchange_sampled_seconds", {"proxy": "cache", "command": "GET"}
    assert of(f"{name}_count", **of_get) == 2
    assert of(f"{name}_sum", **of_get) == pytest.approx(7.003)
    assert of(f"{name}_bucket", **of_get, le="0.0025") == 0
    assert of(f"{name}_bucket", **of_get, le="0.005") == 1
    assert of(f"{name}_bucket", **of_get, le="5.0") == 1
    assert of(f"{name}_bucket", **of_get, le="10.0") == 2
    assert of(f"{name}_bucket", **of_get, le="+Inf") == 2
    assert of(f"{name}_count", proxy="cache", command="other") == 1
    name, ok = "rascal_control_requests_total", {"method": "GET", "status": "200"}
    assert of(name, **ok, route="/api/v1/proxies") == 1
    assert of(name, method="GET", status="404", route="_other") == 1
    assert of(name, method="_other", status="405", route="_other") == 1
    assert of("rascal_control_request_seconds_count", route="/api/v1/proxies") == 1
    for process in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"):
        assert (of(f"process_{process}") or 0) > 0, process
    started = of("process_start_time_seconds")
    assert started is not None
    assert time.time() - 3600 * 24 < started <= time.time() + 1


def test_histograms_are_cumulative_and_end_with_all(ask: Any, node: Any) -> None:
    for n in range(40):
        finished(node, "cache", "GET", 0.0001 * 2**n if n < 20 else 0.1)
    for family in scrape(ask).values():
        if family.type != "histogram":
            continue
        series: dict[str, list[tuple[float, float]]] = {}
        counts = {}
        for sample in family.samples:
            rest = {k: v for k, v in sample.labels.items() if k != "le"}
            key = json.dumps(rest, sort_keys=True)
            if sample.name.endswith("_bucket"):
                series.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_count"):
                counts[key] = sample.value
        for key, buckets in series.items():
            assert buckets == sorted(buckets), family.name
            assert [count for _, count in buckets] == sorted(count for _, count in buckets)
            assert buckets[-1] == (float("inf"), counts[key])


def test_every_sample_stands_once(ask: Any) -> None:
    seen = set()
    for line in ask("GET", "/metrics").body.decode().splitlines():
        if not line.startswith("#"):
            key = line.rpartition(" ")[0]
            assert key not in seen
            seen.add(key)


def test_a_reset_brings_bytes_to_zero_while_connections_live(ask: Any, node: Any) -> None:
    gate = node.proxies["cache"].gate
    live = SimpleNamespace(client=end(100), upstream=end(900))
    gate.connections[1] = live
    ask("DELETE", "/api/v1/counters")
    live.client.taken += 5
    found = scrape(ask)
    gate.connections.clear()
    bytes_ = {"proxy": "cache", "direction": "to_upstream"}
    assert value(found, "rascal_bytes_total", **bytes_) == 5
    assert value(found, "rascal_bytes_total", proxy="cache", direction="to_client") == 0


# ---- bounds


def test_proxies_and_faults_beyond_the_bounds_are_summed_up(
    ask: Any, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "PROXIES", 1)
    monkeypatch.setattr(measures, "FAULTS", 1)
    for proxy in node.proxies.values():
        proxy.gate.counts.connections = 5
    gate = node.proxies["cache"].gate
    gate.faults["slow"].matched = 2
    gate.faults["steps"].matched = 3
    gate.faults["steps"].skipped.update({f"r{n}": 1 for n in range(50)})
    found = scrape(ask)
    assert value(found, "rascal_connections_total", proxy="cache") == 5
    assert value(found, "rascal_connections_total", proxy="_other") == 5
    assert value(found, "rascal_fault_matched_total", proxy="cache", fault="slow") == 2
    assert value(found, "rascal_fault_matched_total", proxy="cache", fault="_other") == 3
    (skipped,) = [one for name, one in found.items() if name == "rascal_fault_skipped"]
    assert len(skipped.samples) == measures.REASONS + 1
    assert sum(sample.value for sample in skipped.samples) == 50
    ours = [one for name, one in found.items() if name.startswith("rascal_")]
    proxies = {s.labels.get("proxy", "_other") for one in ours for s in one.samples}
    assert proxies == {"cache", "_other"}


def test_commands_and_series_are_bounded(ask: Any, node: Any) -> None:
    for n in range(200):
        finished(node, "cache", f"X{n}", 0.001)
        finished(node, "plain", f"X{n}", 0.001)
    found = scrape(ask)["rascal_exchange_sampled_seconds"]
    counts = {
        (s.labels["proxy"], s.labels["command"]): s.value
        for s in found.samples
        if s.name.endswith("_count")
    }
    assert counts["cache", "other"] == 200  # Redis says which commands are usual
    of_plain = {command: n for (proxy, command), n in counts.items() if proxy == "plain"}
    assert len(of_plain) == 25
    assert sum(of_plain.values()) == 200
    node.ground.shelf.free = 0
    finished(node, "cache", "SET", 0.001)
    found = scrape(ask)["rascal_exchange_sampled_seconds"]
    shared = {"proxy": "_other", "command": "other"}
    assert any(s.labels == shared and s.value == 1 for s in found.samples)


def test_a_proxy_that_goes_gives_its_series_back(node: Any) -> None:
    shelf = node.ground.shelf
    before = shelf.free
    finished(node, "cache", "GET", 0.001)
    assert shelf.free == before - 1
    node.proxies["cache"].tally.close()
    assert shelf.free == before


def test_mysql_is_told_apart_by_statements() -> None:
    from rascal.wire import protocols
    from rascal.wire.mysql_session import RequestHead

    mysql = protocols()["mysql"]
    assert mysql.classed(RequestHead("QUERY", sql=b"/* x */ select 1")) == "SELECT"
    assert mysql.classed(RequestHead("PING")) == "PING"
    assert {"SELECT", "PING", "QUERY"} <= mysql.usual


def test_any_text_can_be_a_label() -> None:
    nasty = 'a"b\\c\nd' + "é" * 500
    out = Exposition(False)
    out.gauge("x", "An x.", [(labels(name=nasty), 1)])
    (family,) = prometheus(out.text())
    found = family.samples[0].labels["name"]
    assert found.startswith('a"b\\c\nd')
    assert len(found) <= 110
    assert "\n" not in escape(nasty)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5", True),
        ("application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5", False),
        ("application/openmetrics-text;version=9.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=often", False),
        (",;,=;q", False),
    ],
)
def test_accept_chooses_the_format(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


def test_the_lag_of_the_loop_is_measured_while_it_runs(node: Any) -> None:
    from rascal.proxy.lag import PERIOD

    lag, clock = node.lag, node.reactor
    lag.start()
    lag.start()
    assert len(clock.getDelayedCalls()) == 1
    lag._due -= 0.3 + PERIOD  # the timer is called that late
    clock.advance(PERIOD + 0.01)
    assert 0.25 < lag.latest < 0.6
    assert sum(lag.series.buckets) == 1
    assert lag.worst() > 0.25
    clock.advance(PERIOD + 0.01)
    lag.latest = 0.0
    lag.worst()
    assert lag.worst() == 0.0
    lag.stop()
    assert not clock.getDelayedCalls()


# ---- the dashboard


def test_the_dashboard_asks_only_for_what_there_is(ask: Any, node: Any) -> None:
    found = scrape(ask)
    known = set()
    for name, family in found.items():
        known |= {sample.name for sample in family.samples}
        known |= {f"{name}_total"} if family.type == "counter" else {name}
        if family.type == "histogram":
            known |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    board = json.loads(DASHBOARD.read_text())
    expressions = [
        target["expr"] for panel in board["panels"] for target in panel.get("targets", ())
    ]
    variables = [one for one in board["templating"]["list"] if one["type"] == "query"]
    expressions += [one["query"]["query"] for one in variables]
    assert len(expressions) > 15
    used = {name for one in expressions for name in re.findall(r"\b(?:rascal|process)_\w+", one)}
    assert used <= known, used - known
    assert {"rascal_fault_fired_total", "rascal_loop_lag_seconds_bucket"} <= used
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert board["title"]
    assert board["uid"]
    assert board["schemaVersion"] >= 36


# ---- how fast


def test_many_proxies_and_faults_are_scraped_quickly(tmp_path: Path) -> None:
    from asking import Asker
    from twisted.internet.task import Clock

    from rascal.config import load
    from rascal.control._site import make_site
    from rascal.proxy.node import Node

    lines = ["[rascal]"]
    for n in range(1000):
        lines += [f"[proxy:p{n}]", "protocol = tcp", f"listen = 127.0.0.1:{10_000 + n}"]
        lines += ["upstream = 127.0.0.1:6379", "faults ="]
        lines += [f"    throttle({m}MB/s) name f{m}" for m in range(1, 11)]
    file = tmp_path / "proxies.ini"
    file.write_text("\n".join(lines))
    node = Node(load(str(file), {}), Clock())
    try:
        for proxy in node.proxies.values():
            for fault in proxy.gate.faults.values():
                fault.skipped.update({"probability": 3, "count": 3})
        ask = Asker(make_site(node, reactor=node.reactor))
        ask("GET", "/metrics")
        times = []
        for _ in range(3):
            began = time.thread_time()  # whatever else the machine does
            answer = ask("GET", "/metrics")
            times.append(time.thread_time() - began)
        assert answer.body.count(b"rascal_fault_fired_total{") == 10_000
        assert min(times) < 0.3
    finally:
        node.hangups.close()
