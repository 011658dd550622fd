"""Bad input is a 4xx that says why, and changes nothing: what crashes the reference among it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toxi_asking import DB, ToxiAsker, well

from rascal.config.toxics import TYPES, ToxiproxyError, read_toxic
from rascal.config.toxiproxy import read_entries

BIG = 2**63
LONGEST = BIG // 10**6


def toxic(type_: str, **attributes: Any) -> dict[str, Any]:
    return {"type": type_, "attributes": attributes}


CRASHES = {
    "slicer without attributes": toxic("slicer"),
    "slicer of all zeros": toxic("slicer", average_size=0, size_variation=0, delay=0),
    "slicer that varies more than a piece": toxic("slicer", average_size=1, size_variation=100),
    "slicer that varies backwards": toxic("slicer", average_size=10, size_variation=-1),
    "slicer of less than nothing": toxic("slicer", average_size=-10),
    "negative bandwidth": toxic("bandwidth", rate=-1),
    "least bandwidth": toxic("bandwidth", rate=-BIG),
    "extreme jitter": toxic("latency", jitter=BIG - 1),
    "jitter that doubles beyond 64 bits": toxic("latency", jitter=BIG // 2 + 1),
    "extreme latency": toxic("latency", latency=BIG - 1),
    "time-out beyond all durations": toxic("timeout", timeout=LONGEST + 1),
    "reset beyond all durations": toxic("reset_peer", timeout=LONGEST + 1),
    "close beyond all durations": toxic("slow_close", delay=BIG - 1),
}
"""What crashes the reference, or makes it wait for the wrong time."""

WRONG = {
    "a float for an integer": toxic("latency", latency=1.5),
    "a float that is whole": toxic("latency", latency=1.0),
    "a text for a number": toxic("latency", latency="100"),
    "a boolean for a number": toxic("latency", latency=True),
    "a list for a number": toxic("latency", latency=[1]),
    "more than 64 bits": toxic("latency", latency=BIG),
    "far more than 64 bits": toxic("latency", latency=10**30),
    "attributes that are a list": {"type": "latency", "attributes": [1]},
    "a text for a share": {"type": "latency", "toxicity": "1"},
    "a boolean for a share": {"type": "latency", "toxicity": True},
    "a huge share": {"type": "latency", "toxicity": 10**301},
    "a number for a type": {"type": 1},
    "a number for a name": {"type": "noop", "name": 1},
    "a number for a stream": {"type": "noop", "stream": 1},
    "a name with a slash": {"type": "noop", "name": "a/b"},
    "a name that leads up": {"type": "noop", "name": ".."},
    "a name with a line end": {"type": "noop", "name": "a\nb"},
    "a name with a NUL": {"type": "noop", "name": "a\0"},
    "a long name": {"type": "noop", "name": "x" * 201},
    "a name of blanks": {"type": "noop", "name": "  "},
    "half a surrogate pair": {"type": "noop", "name": "\ud800"},
    "a list": [],
    "a text": "latency",
    "a number": 7,
    "a member twice, in two cases": {"type": "noop", "TYPE": "noop"},
}

MALFORMED = {
    "nothing": b"",
    "blanks": b" \n ",
    "half an object": b'{"type": "noop"',
    "two values": b'{"type": "noop"} {}',
    "no JSON": b"type=noop",
    "NaN": b'{"type": "noop", "toxicity": NaN}',
    "Infinity": b'{"type": "noop", "toxicity": Infinity}',
    "a float beyond all": b'{"type": "noop", "toxicity": 1e999}',
    "a number of 5,000 digits": b'{"type": "latency", "toxicity": ' + b"9" * 5000 + b"}",
    "a member twice": b'{"type": "noop", "type": "latency"}',
    "an attribute twice": b'{"type": "latency", "attributes": {"latency": 1, "latency": 2}}',
    "invalid UTF-8": b'{"type": "noop", "name": "\xff\xfe"}',
    "a byte order mark": b'\xef\xbb\xbf{"type": "noop"}',
    "depth": b"[" * 60_000,
    "100 KB": b'{"type": "noop", "x": "' + b"x" * 100_000 + b'"}',
    "1 MB": b'{"type": "noop", "x": "' + b"x" * 1_000_000 + b'"}',
}

ADDRESSES = ["nowhere", "127.0.0.1", "127.0.0.1:70000", "127.0.0.1:-1", "::1:80", "http://a:80"]
ADDRESSES += [
    "a b:80",
    "a:nothing-known",
    "[::1:80",
    "[zz]:80",
    "a:80:80",
    "x" * 5000 + ":1",
    "é:1",
]


@pytest.fixture
def db(toxi: ToxiAsker, node: Any) -> Any:
    """The state that must not change."""
    well(toxi("POST", "/proxies", DB), 201)
    well(toxi("POST", "/proxies/db/toxics", toxic("latency", latency=100)))

    def state() -> Any:
        installed = {name: list(one.installed.values()) for name, one in node.proxies.items()}
        return toxi("GET", "/proxies").json, node.revision, installed

    return state


def check(answer: Any, *, at: str = "text/plain; charset=utf-8") -> None:
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == at, answer
    assert answer.json["status"] == answer.status
    assert answer.json["error"]
    assert "Traceback" not in answer.json["error"]


@pytest.mark.parametrize("name", [*CRASHES, *WRONG])
def test_a_toxic_that_cannot_be(toxi: ToxiAsker, db: Any, name: str) -> None:
    before, data = db(), (CRASHES | WRONG)[name]
    check(toxi("POST", "/proxies/db/toxics", data))
    assert db() == before


@pytest.mark.parametrize("name", CRASHES)
def test_a_change_that_would_crash_the_reference(toxi: ToxiAsker, node: Any, name: str) -> None:
    well(toxi("POST", "/proxies", DB), 201)
    type_ = CRASHES[name]["type"]
    start = {"average_size": 10, "size_variation": 2} if type_ == "slicer" else {}
    well(toxi("POST", "/proxies/db/toxics", toxic(type_, **start)))
    before, revision = toxi("GET", "/proxies").body, node.revision
    changes = CRASHES[name]["attributes"] or {"average_size": 0}
    check(toxi("POST", f"/proxies/db/toxics/{type_}_downstream", {"attributes": changes}))
    assert (toxi("GET", "/proxies").body, node.revision) == (before, revision)


def test_a_bad_toxicity_does_not_change_the_attributes(toxi: ToxiAsker, db: Any) -> None:
    before = db()
    data = {"attributes": {"latency": 5}, "toxicity": "x"}
    check(toxi("PATCH", "/proxies/db/toxics/latency_downstream", data))
    assert db() == before


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/proxies"),
        ("POST", "/proxies/db"),
        ("PATCH", "/proxies/db"),
        ("POST", "/proxies/db/toxics"),
        ("PATCH", "/proxies/db/toxics/latency_downstream"),
        ("POST", "/populate"),
    ],
)
def test_a_body_that_is_none(toxi: ToxiAsker, db: Any, name: str, method: str, path: str) -> None:
    before = db()
    kind = "application/json" if path == "/populate" else "text/plain; charset=utf-8"
    check(toxi(method, path, body=MALFORMED[name]), at=kind)
    assert db() == before


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("member", ["listen", "upstream"])
def test_addresses_that_are_none(toxi: ToxiAsker, db: Any, member: str, address: str) -> None:
    before = db()
    check(toxi("POST", "/proxies", DB | {"name": "new", member: address}))
    check(toxi("POST", "/proxies/db", {member: address}))
    check(toxi("POST", "/populate", [DB | {member: address}]), at="application/json")
    assert db() == before


@pytest.mark.parametrize(
    "data",
    [
        DB | {"name": "a/b"},
        DB | {"name": "a\0b"},
        DB | {"name": "x" * 201},
        DB | {"name": 5},
        DB | {"enabled": "yes"},
        DB | {"enabled": 1},
        DB | {"listen": 3307},
        DB | {"listen": ["127.0.0.1:3307"]},
        DB | {"upstream": {}},
        DB | {"upstream": "127.0.0.1:0"},
        [DB],
        "db",
    ],
)
def test_a_proxy_that_cannot_be(toxi: ToxiAsker, data: Any) -> None:
    before = toxi("GET", "/proxies").body
    if isinstance(data, dict) and data["name"] == "db":
        data = data | {"name": "new"}
    check(toxi("POST", "/proxies", data))
    check(toxi("POST", "/populate", [data]), at="application/json")
    assert toxi("GET", "/proxies").body == before


def test_two_names_for_one_toxic_in_a_list(toxi: ToxiAsker) -> None:
    noop = {"type": "noop"}
    data = [DB | {"toxics": [noop, noop]}]
    check(toxi("POST", "/populate", data), at="application/json")


@pytest.mark.parametrize(
    "path", ["/proxies/%ff", "/proxies/a%2Fb", "/proxies/..%2f..", "/proxies/"]
)
def test_names_that_nobody_has(toxi: ToxiAsker, path: str) -> None:
    assert 400 <= toxi("GET", path).status < 500
    assert 400 <= toxi("DELETE", path).status < 500


def test_a_body_of_half_a_megabyte_is_a_list_of_thousands(toxi: ToxiAsker, node: Any) -> None:
    data = [DB | {"name": f"p{n}", "enabled": False} for n in range(3000)]
    assert 200_000 < len(json.dumps(data)) < 512 * 1024
    assert len(well(toxi("POST", "/populate", data), 201)["proxies"]) == 3000


def test_a_proxy_of_datagrams_has_no_toxics_of_streams() -> None:
    from rascal.config.registry import installed
    from rascal.config.toxics import toxic_fault

    registry = installed()
    protocols = registry.protocols.values()
    for protocol in (one for one in protocols if "slow_close" not in registry.kinds(one)):
        with pytest.raises(ToxiproxyError, match="streams"):
            toxic_fault(read_toxic(toxic("slow_close")), protocol, registry)


# ---- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NUMBERS = st.integers(-BIG - 1, BIG) | st.sampled_from((0, 1, -1, BIG - 1, -BIG)) | JSON
TOXICS = st.fixed_dictionaries(
    {"type": st.sampled_from(list(TYPES))},
    optional={
        "stream": st.sampled_from(("upstream", "DOWNSTREAM")) | JSON,
        "toxicity": st.floats(-2, 2) | JSON,
        "name": st.text(max_size=12) | JSON,
        "attributes": st.dictionaries(
            st.sampled_from([name for names in TYPES.values() for name in names]), NUMBERS
        ),
    },
)


def outcome(read: Callable[[Any], Any], data: Any) -> tuple[Any, int]:
    """What was read, or the status of the refusal."""
    try:
        return read(data), 0
    except ToxiproxyError as error:
        return None, error.status


@settings(max_examples=300)
@given(TOXICS | JSON)
@example({"type": "noop"})
def test_every_toxic_is_refused_or_can_be_had(data: Any) -> None:
    from rascal.config.registry import installed
    from rascal.config.toxics import toxic_fault
    from rascal.language import parse, show

    found, status = outcome(read_toxic, data)
    assert status == 0 or 400 <= status < 500
    if found is None:
        return
    registry = installed()
    for protocol in registry.protocols.values():
        if "slow_close" not in registry.kinds(protocol):
            continue  # it carries datagrams
        one = toxic_fault(found, protocol, registry)
        kinds = registry.kinds(protocol)
        phrase = parse(
            "fault",
            show(one.phrases[0]),
            kinds=kinds,
            fields=protocol.fields,
            protocol=protocol.name,
        )
        assert phrase == one.phrases[0]
        assert one.specs[0].level == "connection"
    json.dumps(found.json(), allow_nan=False)


@settings(max_examples=200)
@given(JSON | st.lists(st.fixed_dictionaries({"name": JSON, "listen": JSON, "upstream": JSON})))
def test_every_list_is_refused_or_can_be_had(data: Any) -> None:
    _, status = outcome(read_entries, data)
    assert status == 0 or 400 <= status < 500
