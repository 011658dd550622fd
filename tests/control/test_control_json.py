"""The strict JSON reader agrees with the standard one on what both take, and is total."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rascal.control._json import DEPTH, dumps, loads
from rascal.errors import ConfigError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**38), 10**38)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_it_reads_what_the_standard_reader_reads(value: Any, indent: Any, ascii_: bool) -> None:
    if depth(value) > DEPTH:
        return
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    assert loads(text.encode()) == json.loads(text) == value
    assert loads(dumps(value)) == value


@given(
    st.binary(max_size=200)
    | st.text(alphabet='[]{}",:0123456789eE+-.\\u \ntrufalsn').map(lambda text: text.encode())
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = loads(data)
    except ConfigError as error:
        refused = error
    else:
        assert json.loads(data) == found
        return
    assert refused.pointer is not None
    assert refused.code.startswith("json-")


@given(VALUES, st.data())
def test_a_piece_of_json_is_no_json(value: Any, data: Any) -> None:
    text = json.dumps({"a": value}).encode()
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ConfigError):
        loads(text[:cut])


def test_lone_surrogates_are_written_as_escapes() -> None:
    assert dumps({"a": "\udc80"}) == b'{"a":"\\udc80"}\n'


def test_an_error_says_where_it_is() -> None:
    with pytest.raises(ConfigError) as caught:
        loads(b'{"a": {"b": [1,\n  2,, 3]}}')
    assert (caught.value.pointer, caught.value.line, caught.value.column) == ("/a/b/2", 2, 5)


@given(text=st.text(st.sampled_from('[]{}",:\\u0123dDeE.-+ntrufalse \n'), max_size=40))
@example("[" * 32 + "]" * 32)
@example("[" * 33 + "]" * 33)
@example("[" * 33 + "1" + "]" * 33)
@example("[" * 60_000)
@example('["]]]]]]]]", ' + "[" * 32 + "1" + "]" * 33)
@example('{"a": 1, "a": 1}')
@example('"\\ud83d\\ude00"')
def test_the_fast_way_says_the_same(text: str) -> None:
    """What the fast reader takes, the careful one takes too, and to the same value."""
    from rascal.control._json import _fast, _NotPlain, _Reader

    try:
        found = _fast(text)
    except (_NotPlain, ValueError, RecursionError):
        return
    reader = _Reader(text)
    assert reader.value("", 0) == found
    assert depth(found) <= DEPTH
    reader.space()
    assert reader.at == len(text)
