"""A toxic is one of Rascal's own faults: seen, counted and changed as all others are."""

from __future__ import annotations

from typing import Any

import pytest
from toxi_asking import DB, ToxiAsker, refused, well

SENTENCES = [
    ("latency", {"latency": 100}, "delay(100ms, fin=no) direction to_client per connection"),
    (
        "latency",
        {"latency": 100, "jitter": 20},
        "delay(80ms..120ms, fin=no) direction to_client per connection",
    ),
    (
        "latency",
        {"latency": 10, "jitter": 30},
        "delay(percentiles(p33.3333=0s, max=40ms), fin=no) direction to_client per connection",
    ),
    (
        "latency",
        {"latency": 10, "jitter": -30},
        "delay(10ms, fin=no) direction to_client per connection",
    ),
    ("bandwidth", {"rate": 100}, "throttle(100KB/s) direction to_client"),
    ("bandwidth", {"rate": 0}, "throttle(0B/s) direction to_client"),
    ("slow_close", {"delay": 1500}, "slow_close(1.5s) direction to_client"),
    ("timeout", {"timeout": 0}, "blackhole(fin=no) direction to_client"),
    ("timeout", {"timeout": -1}, "blackhole(fin=no) direction to_client"),
    ("timeout", {"timeout": 500}, "blackhole(500ms, idle=yes, fin=no) direction to_client"),
    ("reset_peer", {"timeout": 20}, "reset(hold=20ms) direction to_client per connection"),
    (
        "slicer",
        {"average_size": 64, "size_variation": 32, "delay": 10},
        "slice(64B, vary=32B, delay=10us) direction to_client",
    ),
    (
        "slicer",
        {"average_size": 64, "size_variation": 64},
        "slice(64B, vary=63B) direction to_client",
    ),
    ("limit_data", {"bytes": 0}, "limit(0B) direction to_client"),
    ("limit_data", {"bytes": -3}, "limit(0B) direction to_client"),
    ("noop", {}, "noop direction to_client"),
]


@pytest.fixture(autouse=True)
def _db(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/proxies", DB), 201)


def native(toxi: ToxiAsker, name: str) -> Any:
    return toxi("GET", f"/api/v1/proxies/db/faults/{name}").json


@pytest.mark.parametrize(("type_", "attributes", "sentence"), SENTENCES)
def test_the_sentence_of_a_toxic(
    toxi: ToxiAsker, type_: str, attributes: dict[str, int], sentence: str
) -> None:
    data = {"type": type_, "name": "t", "attributes": attributes}
    well(toxi("POST", "/proxies/db/toxics", data))
    shown = native(toxi, "t")
    assert shown["text"] == f"{sentence} name t"
    assert shown["armed"] is True


@pytest.mark.parametrize(
    ("toxicity", "share"), [(1, ""), (7, ""), (0.25, "25% "), (0, "0% "), (-1, "0% ")]
)
def test_toxicity_is_a_probability(toxi: ToxiAsker, toxicity: float, share: str) -> None:
    data = {"type": "noop", "name": "t", "toxicity": toxicity, "stream": "upstream"}
    assert well(toxi("POST", "/proxies/db/toxics", data))["toxicity"] == toxicity
    assert native(toxi, "t")["text"] == f"{share}noop direction to_upstream name t"


def test_toxics_work_on_every_protocol(toxi: ToxiAsker) -> None:
    for type_, attributes, _ in SENTENCES:
        data = {"type": type_, "attributes": attributes}
        well(toxi("POST", "/proxies/native/toxics", data))
        well(toxi("DELETE", f"/proxies/native/toxics/{type_}_downstream"), 204)


def test_the_native_api_switches_and_removes_it(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/proxies/db/toxics", {"type": "latency", "name": "t"}))
    headers = {"Content-Type": "application/json"}
    path = "/api/v1/proxies/db/faults/t"
    assert toxi("PATCH", path, {"enabled": False}, headers=headers).status == 200
    assert well(toxi("GET", "/proxies/db/toxics/t"))["name"] == "t"
    well(toxi("POST", "/proxies/db/toxics/t", {"attributes": {"latency": 5}}))
    assert native(toxi, "t")["armed"] is False
    assert toxi("DELETE", path).status == 200
    refused(toxi("GET", "/proxies/db/toxics/t"), 404, "toxic not found")


def test_what_the_native_api_has_made_of_it_is_no_toxic_any_more(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/proxies/db/toxics", {"type": "latency", "name": "t"}))
    headers = {"Content-Type": "application/json"}
    path = "/api/v1/proxies/db/faults/t"
    assert toxi("PATCH", path, {"count": 3}, headers=headers).status == 200
    refused(toxi("GET", "/proxies/db/toxics/t"), 404, "toxic not found")
    data = {"type": "noop", "name": "t"}
    refused(toxi("POST", "/proxies/db/toxics", data), 409, "toxic already exists")


def test_panic_takes_toxics_and_refuses_new_ones(toxi: ToxiAsker, node: Any) -> None:
    well(toxi("POST", "/proxies/db/toxics", {"type": "latency"}))
    node.set_panic(True, "ada")
    assert well(toxi("GET", "/proxies/db/toxics")) == []
    found = toxi("POST", "/proxies/db/toxics", {"type": "latency"})
    assert (found.status, found.json["status"]) == (409, 409)
    assert "panic" in found.json["error"]
    node.set_panic(False)
    well(toxi("POST", "/proxies/db/toxics", {"type": "latency"}))


def test_the_export_has_it_as_a_fault(toxi: ToxiAsker) -> None:
    data = {"type": "latency", "attributes": {"latency": 100}, "toxicity": 0.5}
    well(toxi("POST", "/proxies/db/toxics", data))
    text = toxi("GET", "/api/v1/export").body.decode()
    assert "[proxy:db]\nprotocol = tcp\nlisten = 127.0.0.1:3307" in text
    assert "50% delay(100ms, fin=no) direction to_client per connection" in text


def test_changes_are_versions_and_written_down(toxi: ToxiAsker, node: Any) -> None:
    before = node.revision
    well(toxi("POST", "/proxies/db/toxics", {"type": "noop"}))
    assert node.revision == before + 1
    well(toxi("GET", "/proxies"))
    assert node.revision == before + 1


def test_bytes_are_shown_under_the_names_that_toxiproxy_has(toxi: ToxiAsker) -> None:
    text = toxi("GET", "/metrics").body.decode()
    label = 'direction="upstream",proxy="db",listener="127.0.0.1:3307",upstream="127.0.0.1:3306"'
    assert f"toxiproxy_proxy_received_bytes_total{{{label}}} 0" in text
    assert f"toxiproxy_proxy_sent_bytes_total{{{label.replace('up', 'down', 1)}}} 0" in text
