"""Proxies, counters, exchanges, kinds, seed, reload and health, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rascal.control._schema import option_schema
from rascal.options import Option
from rascal.proxy.recent import Record


def test_proxies_are_listed_by_name(ask: Any) -> None:
    found = ask("GET", "/api/v1/proxies").json
    assert list(found) == ["cache", "plain"]
    assert found["cache"] == {
        "name": "cache",
        "protocol": "redis",
        "listen": ["127.0.0.1:6390"],
        "addresses": [],
        "upstream": "127.0.0.1:6379",
        "enabled": True,
        "options": {},
        "connections": {"open": 0, "total": 0},
        "exchanges": 0,
        "faults": {"installed": 2, "armed": 2},
    }
    assert ask("GET", "/api/v1/proxies/plain").json == found["plain"]
    assert found["plain"]["listen"] == ["127.0.0.1:7001", "127.0.0.1:7002"]


def test_a_proxy_is_enabled_and_disabled(ask: Any, node: Any) -> None:
    proxy, versions = node.proxies["plain"], []
    for on in (False, False, True):
        found = ask("PATCH", "/api/v1/proxies/plain", {"enabled": on})
        assert (found.status, found.json["enabled"], proxy.enabled) == (200, on, on)
        versions.append(proxy.version)
    assert ask("PATCH", "/api/v1/proxies/plain", {}).status == 200
    assert versions[0] == versions[1] < versions[2] == proxy.version


def test_counters_are_read_and_reset(ask: Any, node: Any) -> None:
    gate = node.proxies["cache"].gate
    gate.counts.connections = 3
    gate.counts.dials["refused"] = 2
    fault = gate.faults["slow"]
    fault.matched, fault.fired, fault.number = 5, 4, 5
    fault.skipped["count"] = 1
    found = ask("GET", "/api/v1/counters").json
    assert list(found) == ["cache", "plain"]
    cache = found["cache"]
    assert (cache["connections"], cache["dials"], cache["open"]) == (3, {"refused": 2}, 0)
    books = {"matched": 5, "fired": 4, "reserved": 0, "waiting": 0, "skipped": {"count": 1}}
    assert cache["faults"]["slow"] == books
    assert ask("DELETE", "/api/v1/counters").json == found
    after = ask("GET", "/api/v1/counters").json["cache"]
    assert (after["connections"], after["faults"]["slow"]["fired"]) == (0, 0)
    assert fault.number == 5


class Kept(list[Record]):
    """What a proxy keeps of its exchanges, newest first."""

    @property
    def total(self) -> int:
        return len(self)


def record(n: int) -> Record:
    return Record(
        number=n,
        connection=1,
        n=n,
        client="127.0.0.1",
        command="GET" if n % 3 else "SET",
        at=0.0,
        seconds=0.25,
        outcome="ok" if n % 5 else "lost",
        faults=("slow",) if n % 2 else (),
        size=5,
        fields={"key": "a\udcff"},
    )


def test_exchanges_are_filtered(ask: Any, node: Any) -> None:
    node.proxies["cache"].recent = Kept(record(n) for n in range(300, 0, -1))
    path = "/api/v1/proxies/cache/exchanges"

    def numbers(query: str) -> list[int]:
        return [one["number"] for one in ask("GET", path + query).json["exchanges"]]

    assert numbers("") == list(range(300, 200, -1))
    assert numbers("?limit=2") == [300, 299]
    assert numbers("?limit=0") == []
    assert numbers("?after=298") == [300, 299]
    assert numbers("?fault=slow&limit=2") == [299, 297]
    assert numbers("?outcome=lost&limit=2") == [300, 295]
    assert numbers("?command=set&fault=slow&limit=2") == [297, 291]
    assert numbers("?fault=none") == []
    found = ask("GET", f"{path}?limit=1").json
    assert (found["total"], found["kept"]) == (300, 300)
    assert (
        found["exchanges"][0].items()
        >= {
            "n": 300,
            "connection": 1,
            "client": "127.0.0.1",
            "command": "SET",
            "seconds": 0.25,
            "outcome": "lost",
            "faults": [],
            "size": 5,
        }.items()
    )


def test_seed_and_health(ask: Any, node: Any) -> None:
    assert ask("GET", "/api/v1/seed").json == {"seed": 42}
    assert ask("GET", "/healthz").json == {"status": "ok"}
    waiting = ask("GET", "/readyz")
    assert (waiting.status, waiting.json["proxies"]) == (503, ["cache", "plain"])
    for proxy in node.proxies.values():
        proxy.enabled = False
    assert ask("GET", "/readyz").json == {"status": "ok"}


def test_reload_tells_what_changed(ask: Any, file: Path, node: Any) -> None:
    text = file.read_text()
    file.write_text(text.replace("delay(2s)", "delay(3s)").replace("name slow", "name slower"))
    found = ask("POST", "/api/v1/reload", {})
    assert found.status == 200
    assert found.json["changed"]["cache"]["added"] == ["slower"]
    assert found.json["changed"]["cache"]["removed"] == ["slow"]
    assert found.json["summary"] == "cache (+slower, -slow)"
    assert ask("POST", "/api/v1/reload", body=b"").json["summary"] == "no change"


def test_a_bad_file_changes_nothing(ask: Any, file: Path, node: Any) -> None:
    before = ask("GET", "/api/v1/proxies/cache/faults").json
    text = file.read_text()
    file.write_text(text.replace("delay(2s)", "delay(2)").replace("pass 2", "pas 2"))
    found = ask("POST", "/api/v1/reload", {})
    assert found.status == 422
    assert [(one["line"], one["column"]) for one in found.json["errors"]] == [(10, 11), (13, 9)]
    assert all(one["path"] == str(file) for one in found.json["errors"])
    assert ask("GET", "/api/v1/proxies/cache/faults").json == before


def test_kinds_and_protocols_show_their_options(ask: Any) -> None:
    kinds = ask("GET", "/api/v1/kinds").json
    assert {"delay", "hang", "error", "lose_reply", "refuse"} <= kinds.keys()
    delay = kinds["delay"]
    assert delay["summary"]
    assert delay["faithful"]
    assert "redis" in delay["protocols"]
    assert delay["options"]["type"] == "object"
    assert delay["options"]["properties"]["delay"]["x-type"] == "distribution"
    assert delay["options"]["required"] == ["delay"]
    assert ask("GET", "/api/v1/kinds/delay").json == delay
    plain = ask("GET", "/api/v1/kinds?protocol=tcp").json
    assert "error" not in plain
    protocols = ask("GET", "/api/v1/protocols").json
    assert {"tcp", "redis"} <= protocols.keys()
    redis = ask("GET", "/api/v1/protocols/redis").json
    assert redis["fields"]["key"]["side"] == "request"
    assert redis["errors"]["loading"]["code"] == "LOADING"
    assert redis["kinds"]["error"]["properties"]["error"]
    assert ask("GET", "/api/v1/recipes").status == 200


@pytest.mark.parametrize(
    ("option", "schema"),
    [
        (
            Option("a", "duration", "h", default=0.25, minimum=0.001, maximum=600.0),
            {"type": "string", "x-minimum": "1ms", "x-maximum": "10m", "default": "250ms"},
        ),
        (Option("a", "size", "h", default=65536), {"type": "string", "default": "64KiB"}),
        (Option("a", "throughput", "h", default=1e6), {"type": "string", "default": "1MB/s"}),
        (Option("a", "percentage", "h", default=0.2), {"type": "string", "default": "20%"}),
        (Option("a", "positive", "h", maximum=9), {"type": "integer", "minimum": 1, "maximum": 9}),
        (Option("a", "flag", "h", default=True), {"type": "boolean", "default": True}),
        (
            Option("a", ("x", "y"), "h", default="x"),
            {"type": "string", "enum": ["x", "y"], "x-type": "choice", "default": "x"},
        ),
    ],
)
def test_an_option_is_a_schema(option: Option, schema: dict[str, Any]) -> None:
    found = option_schema(option)
    assert found.pop("description") == "h"
    if "x-type" not in schema:
        del found["x-type"]
    assert found == schema


def test_every_default_of_a_kind_is_accepted_as_it_is_shown(ask: Any) -> None:
    """What a form is filled with must be what the language reads."""
    from rascal.config.registry import installed
    from rascal.control._schema import schema
    from rascal.language import option_from_json

    registry = installed()
    for protocol in registry.protocols.values():
        for name, table in registry.kinds(protocol).items():
            for option, shown in schema(table, name)["properties"].items():
                if "default" in shown:
                    option_from_json(table[option], shown["default"])
