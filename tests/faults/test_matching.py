"""Matchers: every operator and type on tables, and against a slow reference by Hypothesis."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subjects import TOY, Values, matcher, phrase

from rascal.errors import ConfigError
from rascal.faults.matching import ALWAYS, PATTERN_BYTES, any_of, compile_match, field_of
from rascal.language import Condition, Range

YES = [
    ("command=GET", {"command": "GET"}),
    ("command=get", {"command": "GET"}),
    ("command=GET,MGET", {"command": b"mget"}),
    ("command!=SET", {"command": "GET"}),
    ("command^=M", {"command": "mget"}),
    ("command~^m?get$", {"command": "MGET"}),
    ("key=a", {"key": "a"}),
    ("key=a", {"key": ("b", "a")}),
    ("key=a", {"key": (b"b", b"a")}),
    ("key^=session:,cart:", {"key": b"cart:7"}),
    ("key^=session:", {"key": ("cart:1", "session:1")}),
    ("key~[05]$", {"key": "item:15"}),
    ("key~a.b", {"key": b"a\xffb"}),
    ("key~a.b", {"key": "a\udcffb"}),
    ('key=""', {"key": ""}),
    ('key="a b"', {"key": "a b"}),
    ("key=caf\u00e9", {"key": "caf\u00e9".encode()}),
    ("sql~^insert", {"sql": "INSERT INTO t"}),
    ("sql~\u00e9t\u00e9", {"sql": "\u00c9T\u00c9"}),
    ("not sql~^select", {"sql": "UPDATE t"}),
    ("not sql~^select", {}),
    ("sql!=x", {}),
    ("host=Shop.Example", {"host": "shop.example"}),
    ("size>=1MB", {"size": 1_000_000}),
    ("size<1KB", {"size": 999}),
    ("size=1KB..2KB", {"size": 2000}),
    ("n=3", {"n": 3}),
    ("n=10..", {"n": 10}),
    ("n=..4,9", {"n": 9}),
    ("n>2", {"n": 3}),
    ("n<=2", {"n": 2}),
    ("status=500..599,429", {"status": 503}),
    ("status=200", {"status": "200"}),
    ("status=200", {"status": b"200"}),
    ("in_transaction=yes", {"in_transaction": True}),
    ("in_transaction=no", {"in_transaction": False}),
    ("in_transaction!=yes", {}),
    ("client=10.0.0.0/8", {"client": "10.2.3.4"}),
    ("client=10.0.0.7", {"client": "10.0.0.7:4711"}),
    ("client=10.0.0.0/8", {"client": "::ffff:10.0.0.9"}),
    ("client=fd00::/8,::1", {"client": "[::1]:80"}),
    ("client!=10.0.0.0/8", {"client": "192.168.0.1"}),
    ("client!=10.0.0.0/8", {"client": "/run/shop.sock"}),
    ("header.X-Tenant=acme", {"header__X-Tenant": "acme"}),
    ("command=GET and key=a and n=1", {"command": "get", "key": "a", "n": 1}),
]
NO = [
    ("command=GET", {"command": "MGET"}),
    ("command=GET", {}),
    ("command!=GET", {"command": "get"}),
    ("key=a", {"key": "A"}),
    ("key=a", {"key": ()}),
    ("key=a", {"key": (None,)}),
    ("key!=a", {"key": ("b", "a")}),
    ("key^=Session:", {"key": "session:1"}),
    ("key~A", {"key": "a"}),
    ("sql~^select", {"sql": " SELECT"}),
    ("not sql~select", {"sql": "Select 1"}),
    ("size>=1MB", {"size": 999_999}),
    ("size>1KB", {"size": 1000}),
    ("n=3", {"n": 4}),
    ("n=3", {}),
    ("n=3", {"n": "three"}),
    ("n=3", {"n": "9" * 5000}),
    ("status=500..599", {"status": 600}),
    ("in_transaction=yes", {}),
    ("in_transaction=yes", {"in_transaction": False}),
    ("client=10.0.0.0/8", {"client": "11.0.0.1"}),
    ("client=10.0.0.0/8", {"client": "/run/shop.sock"}),
    ("client=10.0.0.0/8", {"client": "::1"}),
    ("header.X-Tenant=acme", {"header__X-Other": "acme"}),
    ("command=GET and key=a", {"command": "GET", "key": "b"}),
    ("command=GET and key=a and n=1", {"command": "GET", "key": "a", "n": 2}),
]


@pytest.mark.parametrize(("text", "values"), YES)
def test_matches(text: str, values: dict[str, Any]) -> None:
    assert matcher(text).matches(Values(**values)) is True


@pytest.mark.parametrize(("text", "values"), NO)
def test_does_not_match(text: str, values: dict[str, Any]) -> None:
    assert matcher(text).matches(Values(**values)) is False


def test_no_conditions_match_everything() -> None:
    assert compile_match((), TOY) is ALWAYS
    assert ALWAYS.matches(Values())
    assert ALWAYS.commands is None
    assert not ALWAYS.names("CONNECT")


def test_patterns_see_the_first_64_kib() -> None:
    found = matcher("key~needle")
    inside = "x" * (PATTERN_BYTES - 6) + "needle"
    outside = "x" * (PATTERN_BYTES - 5) + "needle"
    assert found.matches(Values(key=inside))
    assert not found.matches(Values(key=outside))
    assert found.matches(Values(key=inside.encode()))
    assert not found.matches(Values(key=outside.encode()))
    wide = "\u00e9" * (PATTERN_BYTES // 2 - 3) + "needle"  # two bytes each: 6 bytes short of it
    assert found.matches(Values(key=wide))
    assert not found.matches(Values(key="\u00e9" + wide))


def test_what_a_match_is_about() -> None:
    found = matcher("command=GET,mget and key=a")
    assert found.commands == {"GET", "MGET"}
    assert found.names("get")
    assert not found.names("SET")
    assert not found.reply
    assert found.fields == ("command", "key")
    assert matcher("command=GET,SET and command=SET,DEL").commands == {"SET"}
    assert matcher("command!=GET").commands is None
    assert matcher("not command=GET").commands is None
    assert matcher("command~GET").commands is None
    assert matcher("status=500..599").reply


def test_any_of_several_matches() -> None:
    get, set_, late = matcher("command=GET"), matcher("command=SET"), matcher("status=500")
    both = any_of((get, set_))
    assert both.commands == {"GET", "SET"}
    assert both.matches(Values(command="SET"))
    assert not both.matches(Values(command="DEL"))
    assert any_of((get, late)).commands is None
    assert any_of((get, late)).reply
    assert any_of((get, ALWAYS)).matches(Values())
    assert any_of((get, ALWAYS)).commands is None
    assert any_of((get,)) is get


def test_one_command_only() -> None:
    found = matcher("client=10.0.0.0/8").only("CONNECT")
    assert found.names("connect")
    assert found.matches(Values(client="10.0.0.1", command="CONNECT"))
    assert not found.matches(Values(client="10.0.0.1", command="GET"))
    assert not found.matches(Values(client="11.0.0.1", command="CONNECT"))


def test_a_field_that_the_protocol_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="toy has no match field 'colour'"):
        compile_match((Condition("colour", "=", ("red",)),), TOY)
    assert field_of("header.X-A", TOY).name == "header.NAME"
    with pytest.raises(ConfigError):
        field_of("header.", TOY)


# ---- against a slow reference

FIELDS = {field.name: field for field in TOY.fields}
WORDS = st.text(st.sampled_from("aAbB:é"), max_size=4)
NUMBERS = st.integers(0, 12)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.1.0.1", "::1", "fd00::7", "192.168.1.9", "/run/x"])
NETWORKS = st.sampled_from(["10.0.0.0/8", "10.0.0.1", "::/0", "fd00::/8", "0.0.0.0/0"])


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(["command", "key", "sql", "host", "n", "in_transaction", "client"]))
    type_ = FIELDS[name].type
    negated = draw(st.booleans())
    values: tuple[Any, ...]
    if type_ == "number":
        op = draw(st.sampled_from(["=", "=", ">", ">=", "<", "<="]))
        if op != "=":
            return Condition(name, op, (str(draw(NUMBERS)),), negated)
        one = st.one_of(
            NUMBERS.map(str),
            st.tuples(st.none() | NUMBERS, NUMBERS).map(
                lambda p: Range(None if p[0] is None else str(p[0]), str(p[1]))
            ),
        )
        values = tuple(draw(st.lists(one, min_size=1, max_size=3)))
        return Condition(name, op, values, negated)
    if type_ == "flag":
        return Condition(name, "=", (draw(st.sampled_from(["yes", "no"])),), negated)
    if type_ == "address":
        return Condition(name, "=", tuple(draw(st.lists(NETWORKS, min_size=1))), negated)
    op = draw(st.sampled_from(["=", "^=", "~"]))
    if op == "~":
        return Condition(
            name, op, (draw(st.sampled_from(["a", "^b", "a.*b$", "é", "[:]"])),), negated
        )
    return Condition(name, op, tuple(draw(st.lists(WORDS, min_size=1, max_size=3))), negated)


def value_for(type_: str) -> st.SearchStrategy[Any]:
    if type_ == "number":
        return NUMBERS
    if type_ == "flag":
        return st.booleans()
    if type_ == "address":
        return ADDRESSES
    texts = WORDS | WORDS.map(str.encode)
    return texts | st.lists(texts, max_size=3).map(tuple)


def holds(condition: Condition, value: Any) -> bool:
    """One condition, the slow way."""
    if value is None:
        return condition.negated
    values = value if isinstance(value, tuple) else (value,)
    found = any(_is(condition, one, expected) for one in values for expected in condition.values)
    return found != condition.negated


def _is(condition: Condition, value: Any, expected: Any) -> bool:
    field = FIELDS[condition.field]
    if field.type == "number":
        if isinstance(expected, Range):
            low = int(expected.low) if expected.low else -1
            return low <= value <= int(expected.high)
        wanted = int(expected)
        return {
            "=": value == wanted,
            ">": value > wanted,
            ">=": value >= wanted,
            "<": value < wanted,
            "<=": value <= wanted,
        }[condition.op]
    if field.type == "flag":
        return value is (expected == "yes")
    if field.type == "address":
        try:
            return ip_address(value) in ip_network(expected, strict=False)
        except ValueError:
            return False
    text = value.decode() if isinstance(value, bytes) else value
    folded = field.folded or field.type in ("word", "name")
    if condition.op == "~":
        return re.search(expected, text, re.IGNORECASE if folded else 0) is not None
    if folded:
        text, expected = text.lower(), expected.lower()
    return text.startswith(expected) if condition.op == "^=" else text == expected


@given(st.lists(conditions(), min_size=1, max_size=4), st.data())
def test_as_the_slow_reference(wanted: list[Condition], data: st.DataObject) -> None:
    names = {condition.field for condition in wanted}
    values = {
        name: data.draw(st.none() | value_for(FIELDS[name].type), label=name)
        for name in sorted(names)
    }
    expected = all(holds(condition, values[condition.field]) for condition in wanted)
    assert compile_match(wanted, TOY).matches(Values(**values)) is expected


@given(conditions())
def test_not_turns_one_condition_round(condition: Condition) -> None:
    turned = Condition(condition.field, condition.op, condition.values, not condition.negated)
    for values in ({}, {condition.field: "a"}, {condition.field: 3}, {condition.field: True}):
        if not values or FIELDS[condition.field].type in ("word", "text", "name"):
            values = {name: str(value) for name, value in values.items()}
        one = compile_match((condition,), TOY).matches(Values(**values))
        assert one is not compile_match((turned,), TOY).matches(Values(**values))


def test_conditions_come_from_the_language() -> None:
    read = phrase("hang match command=GET and not key^=a,b").clause("match")
    assert compile_match(read, TOY).matches(Values(command="GET", key="c"))
