"""YAML of Compose files: places, styles, anchors; what is read is written again."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rascal.errors import ConfigErrors
from rascal.wrapping.yamlfile import Block, Text, dump, is_null, plain, read


def says(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        read(text, "c.yml")
    return str(caught.value)


def test_scalars_keep_their_place_and_style() -> None:
    found = read("a:\n  b: 'yes'\n  c: yes\n", "c.yml")
    b, c = found["a"]["b"], found["a"]["c"]
    assert (b.path, b.line, b.column, b.style) == ("c.yml", 2, 6, "'")
    assert (c, c.style) == ("yes", "")


@pytest.mark.parametrize(
    "text",
    [
        'ports:\n  - 22:22\n  - "22:22"\n',
        "a: yes\nb: 'yes'\nc: 010\nd: 1e3\ne: 1.10\nf: '1.10'\n",
        "a:\nb: ~\nc: null\n",
        "a: |\n  two\n  lines\nb: >-\n  one\n  line\n",
        'command: ["sh", "-c", "echo $$HOME # not a comment"]\n',
        "a: 'it''s'\nb: \"tab\\there\"\n",
        "time: 12:30:45\nday: 2001-01-01\n",
    ],
)
def test_what_is_written_means_what_was_read_to_every_reader(text: str) -> None:
    again = dump(read(text, "c.yml"))
    for loader in (yaml.SafeLoader, yaml.BaseLoader):
        assert yaml.load(again, loader) == yaml.load(text, loader)


def test_anchors_and_merge_keys_are_written_out() -> None:
    text = """
    x-a: &a {image: app, environment: &e {A: "1"}}
    s:
      <<: *a
      environment:
        <<: *e
        B: "2"
    t: {<<: [*a, *e], image: other}
    """
    found = plain(read(text, "c.yml"))
    assert found["s"] == {"image": "app", "environment": {"A": "1", "B": "2"}}
    assert found["t"] == {"image": "other", "environment": {"A": "1"}, "A": "1"}
    assert "*" not in dump(read(text, "c.yml")) and "&" not in dump(read(text, "c.yml"))


def test_tags_of_compose_are_kept_and_others_refused() -> None:
    found = read("a: !override [1]\nb: !reset null\n", "c.yml")
    assert (found["a"].tag, found["b"].tag) == ("!override", "!reset")
    assert says("a: !secret x\n") == (
        "c.yml:1:4: the tag '!secret' is not known; Compose has !reset and !override"
    )


def test_what_is_wrong_is_said_with_its_place() -> None:
    assert says("a: 1\nb: 2\na: 3\n") == "c.yml:3:1: 'a' stands twice, first in line 1"
    assert says("a: [1\nb: 2\n").startswith("c.yml:2:2: this is not YAML: ")
    assert says("a: 1\n---\nb: 2\n").startswith("c.yml:3: several documents")
    assert says("? [a]\n: 1\n") == "c.yml:1:3: a name is one word or text"
    assert says("a: &a [*a]\n").startswith("c.yml:1:")
    assert says("a: {<<: 3}\n") == "c.yml:1:9: what is merged here (<<) has no names"


def test_a_file_of_many_aliases_is_refused_in_time() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "values once its aliases are written out" in says("\n".join(lines))


def test_nothing_stands_there() -> None:
    assert is_null(read("a:\n", "c.yml")["a"]) and is_null(None)
    assert not is_null(read("a: ''\n", "c.yml")["a"])


scalars = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20),
    st.sampled_from(["yes", "no", "~", "22:22", "010", "1_000", "0x1f", "- a", "a: b", "#", "<<"]),
    st.integers(),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc-_.$", min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.text("abcxyz", min_size=1, max_size=8), values, max_size=5), st.booleans()
)
def test_any_data_survives_reading_and_writing(data: Any, flow: bool) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, default_flow_style=flow, sort_keys=False)
    found = read(text, "c.yml")
    again = dump(found)
    assert yaml.safe_load(again) == data
    assert dump(read(again, "c.yml")) == again


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30))
def test_a_text_of_ours_is_read_as_that_text(text: str) -> None:
    again = dump(Block({Text.of("a", style=""): text, Text.of("b", style=""): [text]}))
    assert yaml.safe_load(again) == {"a": text, "b": [text]}
    assert yaml.load(again, yaml.BaseLoader) == {"a": text, "b": [text]}
