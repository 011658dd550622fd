"""What requests of the control API ask for becomes the same as in proxies.ini."""

from __future__ import annotations

from typing import Any

import pytest

from rascal.config import ProxySpec, Registry
from rascal.config.installing import changed, make_installed, structure
from rascal.errors import ConfigErrors
from rascal.language import Address
from rascal.options import Options


@pytest.fixture
def proxy(registry: Registry) -> ProxySpec:
    return ProxySpec(
        name="db",
        protocol=registry.protocols["mysql"],
        listen=(Address("tcp", "127.0.0.1", 3307),),
        upstream=Address("tcp", "127.0.0.1", 3306),
        options=Options(),
        protocol_options=Options(),
    )


DELAY = {"kind": "delay", "options": {"delay": "2s"}}

MADE: list[tuple[Any, Any, str, str, str]] = [
    ("fault", "20% delay(2s) match sql~x", "fault", "delay-2", "20% delay(2s) match sql~x"),
    ("fault", {"text": "hang"}, "fault", "hang", "hang"),
    ("fault", {"text": "delay 3s", **DELAY}, "fault", "delay-2", "delay(2s)"),
    ("fault", f"hang name {'n' * 64}", "fault", "n" * 64, "hang"),
    ("fault", {"text": "hang", "count": 3, "name": "q"}, "fault", "q", "hang count 3"),
    ("fault", DELAY | {"every": 3, "text": "read-only"}, "fault", "delay-2", "delay(2s) every 3"),
    ("fault", {"roulette": "10% hang, 5% empty"}, "roulette", "roulette", "10% hang, 5% empty"),
    (
        "fault",
        {"roulette": ["10% hang", DELAY | {"probability": "5%"}], "name": "wheel"},
        "roulette",
        "wheel",
        "10% hang, 5% delay(2s)",
    ),
    ("fault", "recipe cold-cache for 60s", "recipe", "cold-cache", "recipe(cold-cache) for 1m"),
    ("recipe", "recipe cold-cache", "recipe", "cold-cache", "recipe(cold-cache)"),
    ("script", "pass 2, error(deadlock)", "script", "script", "pass 2, error(deadlock)"),
    ("script", {"text": "pass, hang"}, "script", "script", "pass, hang"),
    ("script", {"steps": ["pass 2", DELAY], "name": "s"}, "script", "s", "pass 2, delay(2s)"),
]


@pytest.mark.parametrize(("form", "data", "made", "name", "text"), MADE)
def test_a_request_becomes_something_to_install(
    form: Any, data: Any, made: str, name: str, text: str, proxy: ProxySpec, registry: Registry
) -> None:
    one = make_installed(form, data, proxy, {"delay"}, registry=registry)
    assert (one.form, one.name) == (made, name)
    words = one.text
    for clause in (f" name {name}",):
        words = words.replace(clause, "")
    assert words == text
    assert one.specs


@pytest.mark.parametrize(("form", "data", "made", "name", "text"), MADE)
@pytest.mark.parametrize("enabled", [True, False])
def test_the_structure_makes_the_same_again(
    form: Any,
    data: Any,
    made: str,
    name: str,
    text: str,
    enabled: bool,
    proxy: ProxySpec,
    registry: Registry,
) -> None:
    one = make_installed(form, data, proxy, {"delay"}, registry=registry)
    if made != "recipe":
        one = changed(one, {"enabled": enabled}, proxy, registry=registry)
        assert one.enabled == enabled
    assert make_installed(form, structure(one), proxy, (), registry=registry) == one


BAD: list[tuple[Any, Any, list[tuple[str, int | None, str]]]] = [
    ("fault", "delay 2", [("", 7, "unit-missing")]),
    ("fault", {"text": "delay 2"}, [("/text", 7, "unit-missing")]),
    ("fault", {"text": 4}, [("/text", None, "not-allowed")]),
    ("fault", {"text": "hang", **DELAY}, [("/text", None, "not-allowed")]),
    ("fault", f"hang name {'n' * 65}", [("", 11, "not-allowed")]),
    ("fault", None, [("", None, "not-allowed")]),
    ("fault", {}, [("/kind", None, "value-missing")]),
    ("fault", "hang on db", [("", 6, "not-allowed")]),
    ("fault", "hang name taken", [("", 11, "name-taken")]),
    ("fault", {"kind": "hang", "name": "taken"}, [("/name", None, "name-taken")]),
    (
        "fault",
        {"text": "hang count 4", "count": 3, "options": {}, "cuont": 1},
        [
            ("/count", None, "not-allowed"),
            ("/options", None, "not-allowed"),
            ("/cuont", None, "unknown-name"),
        ],
    ),
    (
        "fault",
        {
            "kind": "delay",
            "options": {"delay": 2, "dely": 1},
            "cuont": 3,
            "for": 5,
            "match": [{"field": "sq", "op": "=", "value": "3"}],
        },
        [
            ("/options/delay", None, "unit-missing"),
            ("/options/dely", None, "unknown-name"),
            ("/cuont", None, "unknown-name"),
            ("/for", None, "unit-missing"),
            ("/match/0/field", None, "unknown-name"),
        ],
    ),
    ("fault", {"kind": "dely", "options": {"x": 1}}, [("/kind", None, "unknown-name")]),
    ("fault", "error(nonsense)", [("", 7, "not-allowed")]),
    ("fault", {"text": "error(nonsense)"}, [("/text", 7, "not-allowed")]),
    (
        "fault",
        {"kind": "error", "options": {"error": "nonsense"}},
        [("/options/error", None, "not-allowed")],
    ),
    (
        "fault",
        {"roulette": ["10% hang", "95% hang"], "x/y": 1},
        [("/x~1y", None, "unknown-name"), ("/roulette/1", 1, "not-allowed")],
    ),
    (
        "fault",
        {"roulette": ["10% hang name b", "20% dely"]},
        [("/roulette/1", 5, "unknown-name")],
    ),
    ("fault", {"roulette": ["10% hang name b"]}, [("/roulette/0", 15, "not-allowed")]),
    ("fault", {"roulette": "10% hang", "enabled": "x"}, [("/enabled", 1, "unknown-name")]),
    (
        "script",
        {"steps": ["pass 2", "error(deadlock"], "match": "qury~x", "x": 1},
        [
            ("/x", None, "unknown-name"),
            ("/match", 1, "unknown-name"),
            ("/steps/1", 15, "not-allowed"),
        ],
    ),
    ("script", {"text": "pass 2, error(deadlock"}, [("/text", 23, "not-allowed")]),
    ("script", {"match": "sql~x"}, [("/steps", None, "value-missing")]),
    ("script", 7, [("", None, "not-allowed")]),
    ("recipe", "hang", [("", 1, "not-allowed")]),
]


@pytest.mark.parametrize(("form", "data", "expected"), BAD)
def test_all_findings_are_told_with_their_place(
    form: Any, data: Any, expected: Any, proxy: ProxySpec, registry: Registry
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        make_installed(form, data, proxy, {"taken"}, registry=registry)
    found = [
        (one.pointer, one.column if getattr(one, "text", "") else None, one.code)
        for one in caught.value.findings
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        ({"count": 3}, "20% delay(2s) match sql~x count 3 enabled no name a"),
        ({"enabled": True}, "20% delay(2s) match sql~x name a"),
        ({"options": {"delay": "3s"}}, "20% delay(3s) match sql~x enabled no name a"),
        ({"kind": "hang"}, "20% hang match sql~x enabled no name a"),
        ({"match": None}, "20% delay(2s) enabled no name a"),
        ({"text": "hang"}, "hang enabled no name a"),
        ({"text": "hang enabled yes"}, "hang name a"),
        ({"text": "hang", "enabled": True}, "hang name a"),
        ("hang match sql=3", "hang match sql=3 enabled no name a"),
    ],
)
def test_a_change_keeps_what_it_does_not_name(
    patch: Any, text: str, proxy: ProxySpec, registry: Registry
) -> None:
    sentence = "20% delay(2s) match sql~x enabled no name a"
    one = make_installed("fault", sentence, proxy, (), registry=registry)
    assert changed(one, patch, proxy, registry=registry).text == text


def test_a_recipe_is_enabled_as_a_whole(proxy: ProxySpec, registry: Registry) -> None:
    one = make_installed("recipe", "recipe cold-cache", proxy, (), registry=registry)
    off = changed(one, {"enabled": False, "for": "30s"}, proxy, registry=registry)
    assert (off.enabled, off.text) == (False, "recipe(cold-cache) for 30s")
    assert not any(spec.enabled for spec in off.specs)
    assert not changed(off, {"for": "20s"}, proxy, registry=registry).enabled


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"name": "b"}, "/name"),
        ({"text": "hang name b"}, "/text"),
        ({"roulette": ["10% hang"]}, "/roulette"),
        ({"text": "recipe cold-cache"}, ""),
        ({"options": {"delay": None}}, ""),
    ],
)
def test_a_change_cannot_make_something_else_of_it(
    patch: Any, pointer: str, proxy: ProxySpec, registry: Registry
) -> None:
    one = make_installed("fault", "delay 2s name a", proxy, (), registry=registry)
    with pytest.raises(ConfigErrors) as caught:
        changed(one, patch, proxy, registry=registry)
    assert [found.pointer for found in caught.value.findings] == [pointer]
