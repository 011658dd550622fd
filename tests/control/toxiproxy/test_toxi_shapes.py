"""Every address of the compatible API: statuses, content types, bodies and texts.

The shapes are those that were observed on a Toxiproxy server 2.12.
"""

from __future__ import annotations

from typing import Any

import pytest
from toxi_asking import DB, ToxiAsker, refused, well

SHOWN = DB | {"enabled": True, "toxics": []}

DEFAULTS = [
    ("latency", {"latency": 0, "jitter": 0}),
    ("bandwidth", {"rate": 0}),
    ("slow_close", {"delay": 0}),
    ("timeout", {"timeout": 0}),
    ("reset_peer", {"timeout": 0}),
    ("limit_data", {"bytes": 0}),
    ("noop", {}),
]


@pytest.fixture
def db(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/proxies", DB), 201)


def latency(**more: Any) -> dict[str, Any]:
    shown = {"name": "latency_downstream", "type": "latency", "stream": "downstream"}
    return {"attributes": {"latency": 0, "jitter": 0}, "toxicity": 1} | shown | more


# ---- the server


def test_version(toxi: ToxiAsker) -> None:
    found = toxi("GET", "/version")
    assert (found.status, found.body) == (200, b'{"version": "2.12.0"}\n')
    assert found.headers["content-type"] == "application/json;charset=utf-8"
    assert found.headers["x-toxiproxy-request-id"]


def test_every_answer_has_an_id_of_its_own(toxi: ToxiAsker) -> None:
    ids = {toxi("GET", "/version").headers["x-toxiproxy-request-id"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize("path", ["/proxies/a/b", "/proxies/a/toxics/b/c", "/version/x", "/reset/"])
def test_other_addresses(toxi: ToxiAsker, path: str) -> None:
    found = toxi("GET", path)
    assert (found.status, found.body) == (404, b"404 page not found\n")
    assert found.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/proxies"),
        ("DELETE", "/proxies"),
        ("PUT", "/proxies/db"),
        ("GET", "/populate"),
        ("GET", "/reset"),
        ("POST", "/version"),
        ("HEAD", "/proxies"),
        ("HEAD", "/version"),
        ("OPTIONS", "/proxies"),
    ],
)
def test_other_methods(toxi: ToxiAsker, method: str, path: str) -> None:
    found = toxi(method, path)
    assert (found.status, found.body) == (405, b"")
    assert "content-type" not in found.headers
    assert "access-control-allow-origin" not in found.headers


# ---- proxies


def test_a_proxy_is_made_shown_and_removed(toxi: ToxiAsker) -> None:
    assert well(toxi("POST", "/proxies", DB), 201) == SHOWN
    assert well(toxi("GET", "/proxies/db")) == SHOWN
    assert well(toxi("GET", "/proxies"))["db"] == SHOWN
    well(toxi("DELETE", "/proxies/db"), 204)
    refused(toxi("GET", "/proxies/db"), 404, "proxy not found")
    refused(toxi("DELETE", "/proxies/db"), 404, "proxy not found")


def test_all_proxies_of_the_node_are_there(toxi: ToxiAsker) -> None:
    assert list(well(toxi("GET", "/proxies"))) == ["native"]
    assert well(toxi("POST", "/proxies/native/toxics", {"type": "latency"})) == latency()


@pytest.mark.parametrize("enabled", [None, True])
def test_enabled_may_be_null(toxi: ToxiAsker, enabled: Any) -> None:
    assert well(toxi("POST", "/proxies", DB | {"enabled": enabled}), 201)["enabled"] is True


def test_members_are_found_in_any_case_and_others_are_ignored(toxi: ToxiAsker) -> None:
    data = {"NAME": "db", "Listen": DB["listen"], "uPSTREAM": DB["upstream"], "Logger": {}, "x": 1}
    assert well(toxi("POST", "/proxies", data), 201) == SHOWN


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "missing required field: name"),
        (None, "bad request body: EOF"),
        ({"name": "", "upstream": "a:1"}, "missing required field: name"),
        ({"name": None}, "missing required field: name"),
        ({"name": "db"}, "missing required field: upstream"),
        ({"name": "db", "upstream": ""}, "missing required field: upstream"),
    ],
)
def test_what_a_proxy_lacks(toxi: ToxiAsker, data: Any, text: str) -> None:
    refused(toxi("POST", "/proxies", data), 400, text)


@pytest.mark.usefixtures("db")
def test_a_name_is_taken(toxi: ToxiAsker) -> None:
    refused(toxi("POST", "/proxies", DB), 409, "proxy already exists")
    refused(toxi("POST", "/proxies", DB | {"name": "native"}), 409, "proxy already exists")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_proxy_is_changed(toxi: ToxiAsker, method: str) -> None:
    change = {"upstream": "127.0.0.1:9999", "name": "other"}
    expected = SHOWN | {"upstream": "127.0.0.1:9999"}
    assert well(toxi(method, "/proxies/db", change)) == expected
    assert well(toxi(method, "/proxies/db", {"enabled": False})) == expected | {"enabled": False}
    assert well(toxi(method, "/proxies/db", {"enabled": None}))["enabled"] is False
    assert well(toxi(method, "/proxies/db", {"enabled": True, "listen": "127.0.0.1:3308"})) == (
        expected | {"listen": "127.0.0.1:3308"}
    )
    assert well(toxi(method, "/proxies/db", {}))["listen"] == "127.0.0.1:3308"
    refused(toxi(method, "/proxies/nobody", change), 404, "proxy not found")
    refused(toxi(method, "/proxies/db"), 400, "bad request body: EOF")


@pytest.mark.usefixtures("db")
def test_toxics_outlive_a_change_of_their_proxy(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/proxies/db/toxics", {"type": "latency"}))
    changed = well(toxi("POST", "/proxies/db", {"upstream": "127.0.0.1:1"}))
    assert changed["toxics"] == [latency()]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (":3307", "[::]:3307"),
        ("[::1]:3307", "[::1]:3307"),
        ("localhost:3307", "localhost:3307"),
        ("0.0.0.0:3307", "0.0.0.0:3307"),
        ("127.0.0.1:mysql", "127.0.0.1:3306"),
    ],
)
def test_where_a_proxy_listens(toxi: ToxiAsker, given: str, shown: str) -> None:
    """Nothing is bound here, so names are not yet addresses."""
    from rascal.config.toxiproxy import has_v6

    if not has_v6():
        shown = shown.replace("[::]", "0.0.0.0")
    assert well(toxi("POST", "/proxies", DB | {"listen": given}), 201)["listen"] == shown


# ---- toxics


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(("type_", "attributes"), DEFAULTS)
def test_toxics_have_all_their_attributes(
    toxi: ToxiAsker, type_: str, attributes: dict[str, int]
) -> None:
    found = well(toxi("POST", "/proxies/db/toxics", {"type": type_}))
    assert found == {
        "attributes": attributes,
        "name": f"{type_}_downstream",
        "type": type_,
        "stream": "downstream",
        "toxicity": 1,
    }
    assert well(toxi("GET", f"/proxies/db/toxics/{type_}_downstream")) == found
    assert well(toxi("GET", "/proxies/db/toxics")) == [found]
    assert well(toxi("GET", "/proxies/db"))["toxics"] == [found]
    well(toxi("DELETE", f"/proxies/db/toxics/{type_}_downstream"), 204)
    assert well(toxi("GET", "/proxies/db/toxics")) == []


@pytest.mark.usefixtures("db")
def test_a_slicer(toxi: ToxiAsker) -> None:
    attributes = {"average_size": 64, "size_variation": 32, "delay": 10}
    found = well(toxi("POST", "/proxies/db/toxics", {"type": "slicer", "attributes": attributes}))
    assert found["attributes"] == attributes


@pytest.mark.usefixtures("db")
def test_what_is_sent_is_shown(toxi: ToxiAsker) -> None:
    data = {
        "type": "latency",
        "stream": "UPSTREAM",
        "toxicity": 7,
        "attributes": {"latency": -5, "x": 1, "JITTER": None},
    }
    found = well(toxi("POST", "/proxies/db/toxics", data))
    assert found == latency(
        name="latency_UPSTREAM",
        stream="UPSTREAM",
        toxicity=7,
        attributes={"latency": -5, "jitter": 0},
    )


@pytest.mark.usefixtures("db")
def test_upstream_toxics_are_listed_first(toxi: ToxiAsker) -> None:
    for stream in ("downstream", "upstream"):
        for type_ in ("latency", "noop"):
            data = {"type": type_, "stream": stream}
            well(toxi("POST", "/proxies/db/toxics", data))
    names = [one["name"] for one in well(toxi("GET", "/proxies/db/toxics"))]
    assert names == ["latency_upstream", "noop_upstream", "latency_downstream", "noop_downstream"]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        ({"type": "latency", "stream": "sideways"}, 400, "stream"),
        ({"type": "latency", "stream": ""}, 400, "stream"),
        ({"type": "Latency"}, 400, "invalid toxic type"),
        ({"type": ""}, 400, "invalid toxic type"),
        ({}, 400, "invalid toxic type"),
        ({"type": "noop", "name": "one"}, 409, "toxic already exists"),
        ({"type": "noop", "name": "one", "stream": "upstream"}, 409, "toxic already exists"),
    ],
)
def test_toxics_that_are_refused(toxi: ToxiAsker, data: Any, status: int, text: str) -> None:
    well(toxi("POST", "/proxies/db/toxics", {"type": "noop", "name": "one"}))
    if text == "stream":
        text = "stream was invalid, can be either upstream or downstream"
    refused(toxi("POST", "/proxies/db/toxics", data), status, text)
    assert len(well(toxi("GET", "/proxies/db/toxics"))) == 1


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_toxic_is_changed(toxi: ToxiAsker, method: str) -> None:
    data = {"type": "latency", "attributes": {"latency": 100, "jitter": 10}}
    well(toxi("POST", "/proxies/db/toxics", data))
    path = "/proxies/db/toxics/latency_downstream"
    found = well(toxi(method, path, {"attributes": {"latency": 200}, "name": "x", "type": "noop"}))
    assert found == latency(attributes={"latency": 200, "jitter": 10})
    found = well(toxi(method, path, {"toxicity": 0.25, "stream": "upstream"}))
    assert found == latency(attributes={"latency": 200, "jitter": 10}, toxicity=0.25)
    assert well(toxi("GET", path)) == found
    refused(toxi(method, path), 400, "bad request body: EOF")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_what_is_not_there(toxi: ToxiAsker, method: str) -> None:
    data = {} if method in ("POST", "PATCH") else None
    refused(toxi(method, "/proxies/db/toxics/none", data), 404, "toxic not found")
    refused(toxi(method, "/proxies/none/toxics/x", data), 404, "proxy not found")
    if method in ("GET", "POST"):
        refused(toxi(method, "/proxies/none/toxics", data), 404, "proxy not found")


def test_faults_of_the_native_api_are_no_toxics(toxi: ToxiAsker) -> None:
    assert well(toxi("GET", "/proxies/native/toxics")) == []
    refused(toxi("DELETE", "/proxies/native/toxics/slow"), 404, "toxic not found")
    data = {"type": "noop", "name": "slow"}
    refused(toxi("POST", "/proxies/native/toxics", data), 409, "toxic already exists")


@pytest.mark.usefixtures("db")
def test_names_may_hold_what_an_address_can(toxi: ToxiAsker) -> None:
    for name, path in (("a b", "a%20b"), ("127.0.0.1:80", "127.0.0.1:80"), ("é%", "%C3%A9%25")):
        well(toxi("POST", "/proxies", DB | {"name": name}), 201)
        well(toxi("POST", f"/proxies/{path}/toxics", {"type": "noop", "name": name}))
        assert well(toxi("GET", f"/proxies/{path}/toxics/{path}"))["name"] == name
        well(toxi("DELETE", f"/proxies/{path}/toxics/{path}"), 204)
        well(toxi("DELETE", f"/proxies/{path}"), 204)


# ---- populate, reset


def test_populate_makes_what_is_not_there(toxi: ToxiAsker) -> None:
    other = DB | {"name": "other", "listen": "127.0.0.1:3308", "enabled": False}
    found = well(toxi("POST", "/populate", [DB, other]), 201)
    assert found == {"proxies": [SHOWN, SHOWN | other]}
    assert well(toxi("POST", "/populate", []), 201) == {"proxies": None}
    assert well(toxi("POST", "/populate", body=b"null"), 201) == {"proxies": None}


def test_populate_leaves_what_is_there_alone(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/populate", [DB]), 201)
    well(toxi("POST", "/proxies/db/toxics", {"type": "latency"}))
    again = well(toxi("POST", "/populate", [DB | {"enabled": False}]), 201)["proxies"]
    assert again == [SHOWN | {"toxics": [latency()]}]
    other = DB | {"upstream": "127.0.0.1:1"}
    assert well(toxi("POST", "/populate", [other]), 201)["proxies"] == [SHOWN | other]


def test_populate_makes_the_toxics_of_new_proxies(toxi: ToxiAsker) -> None:
    data = DB | {"toxics": [{"type": "latency"}]}
    found = well(toxi("POST", "/populate", [data]), 201)
    assert found["proxies"][0]["toxics"] == [latency()]


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        ([DB, {"upstream": "a:1"}], 400, "missing required field: name at proxy 2"),
        ([{"name": "a"}], 400, "missing required field: upstream at proxy 1"),
        ([DB, None], 400, "missing required field: name at proxy 2"),
        ({}, 400, "bad request body: the proxies are a list"),
        (None, 400, "bad request body: EOF"),
        ([DB | {"toxics": [{"type": "x"}]}], 400, "invalid toxic type at proxy 1"),
    ],
)
def test_populate_reads_all_of_it_first(toxi: ToxiAsker, data: Any, status: int, text: str) -> None:
    found = toxi("POST", "/populate", data)
    assert found.status == status
    assert found.headers["content-type"] == "application/json"
    assert found.json == {"error": text, "status": status, "proxies": None}
    assert list(well(toxi("GET", "/proxies"))) == ["native"]


@pytest.mark.usefixtures("db")
def test_reset(toxi: ToxiAsker, node: Any) -> None:
    for proxy in ("db", "native"):
        well(toxi("POST", f"/proxies/{proxy}/toxics", {"type": "latency"}))
    assert list(node.proxies["native"].installed) == ["slow", "latency_downstream"]
    well(toxi("POST", "/reset", body=b"{ whatever"), 204)
    assert well(toxi("GET", "/proxies/db")) == SHOWN
    assert list(node.proxies["native"].installed) == ["slow"]
