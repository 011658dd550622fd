"""Options of scenario files: types, values, texts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rascal.errors import ConfigError, ConfigErrors
from rascal.load import Option
from rascal.load.book import Book, load_bundle
from rascal.load.parameters import distribution, seconds

FILE = """
from rascal.load import Option, scenario
size = Option("size", int, 100, "Items on a page", minimum=1, maximum=500)
ratio = Option("ratio", float, -0.5, "A share")
shop = Option("shop", str, "main street", "Which shop")
cold = Option("cold", bool, False, "Begin with an empty cache")
colour = Option("colour", ["red", "blue"], help="Of the button")
wait = Option("wait", "duration", "2s", "Patience")
body = Option("body", "size", "2KB", "Of an upload", maximum="1MB")
rest = Option("rest", "distribution", "1s..3s", "Between pages")
pages = [f"/page/{n}" for n in range(size.value)]
@scenario("a")
async def a(user): pass
"""


def load(**values: Any) -> Book:
    return load_bundle({"shop.py": FILE.encode()}, "shop.py", values)


def test_defaults_are_values_of_their_type() -> None:
    found = {name: option.value for name, option in load().parameters.items()}
    rest = found.pop("rest")
    assert found == {
        "size": 100,
        "ratio": -0.5,
        "shop": "main street",
        "cold": False,
        "colour": "red",
        "wait": 2.0,
        "body": 2000,
    }
    assert rest.mean() == 2.0


@pytest.mark.parametrize(
    ("name", "written", "value", "text"),
    [
        ("size", "20", 20, "20"),
        ("size", 20, 20, "20"),
        ("ratio", "1.5", 1.5, "1.5"),
        ("ratio", -3, -3.0, "-3"),
        ("shop", "Queen's, the 2nd = best", "Queen's, the 2nd = best", "Queen's, the 2nd = best"),
        ("cold", "yes", True, "true"),
        ("cold", True, True, "true"),
        ("colour", "blue", "blue", "blue"),
        ("wait", "1m30s", 90.0, "1m30s"),
        ("body", "4KiB", 4096, "4KiB"),
    ],
)
def test_values_come_as_texts_or_as_json(name: str, written: Any, value: Any, text: str) -> None:
    option = load(**{name: written}).parameters[name]
    assert option.value == value and type(option.value) is type(value)
    assert f"{option}" == text


def test_a_value_is_there_while_the_file_is_loaded() -> None:
    book = load(size="3")
    pages = book.scenarios["a"].function.__globals__["pages"]
    assert pages == ["/page/0", "/page/1", "/page/2"]


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("size", "many", "shop.py:3: option 'size': 'many' is not a whole number"),
        ("size", "2.5", "shop.py:3: option 'size': '2.5' is not a whole number"),
        ("size", "0", "shop.py:3: option 'size': size must be at least 1"),
        ("size", "501", "shop.py:3: option 'size': size must be at most 500"),
        ("size", True, "shop.py:3: option 'size': "),
        ("ratio", "nan", "shop.py:4: option 'ratio': 'nan' is not a number that can be used"),
        ("cold", "maybe", "shop.py:6: option 'cold': "),
        ("colour", "rde", "shop.py:7: option 'colour': "),
        ("wait", "2", "shop.py:8: option 'wait': '2' has no unit: write 2s or 2ms"),
        ("body", "2MB", "shop.py:9: option 'body': "),
        ("sise", "2", "shop.py: there is no option 'sise'; options: size, ratio, shop, cold,"),
    ],
)
def test_a_wrong_value_is_said_with_its_line(name: str, written: Any, says: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        load(**{name: written})
    (finding,) = found.value.findings
    assert str(finding).startswith(says)
    assert "\n" not in str(finding)


def test_what_is_near_is_suggested() -> None:
    with pytest.raises(ConfigErrors, match=r"Did you mean 'size'\?"):
        load(sise=2)
    with pytest.raises(ConfigErrors, match=r"Did you mean 'red'\?"):
        load(colour="rde")


def test_it_reads_as_its_value_in_common_places() -> None:
    option = Option("n", int, 7)
    assert f"/n={option}&{option:03d}" == "/n=7&007"
    assert int(option) == 7 and float(option) == 7.0 and option == 7 and bool(option)
    assert list(range(option)) == list(range(7))  # type: ignore[call-overload]
    assert not Option("n", int, 0)
    with pytest.raises(TypeError, match="option 's' is no whole number"):
        range(Option("s", str, "x"))  # type: ignore[call-overload]


def test_an_option_without_default_needs_a_value() -> None:
    source = (
        "from rascal.load import Option, scenario\nkey = Option('key', int)\n"
        "@scenario('a')\nasync def a(user): pass\n"
    )
    with pytest.raises(ConfigErrors, match=r"shop.py:2: option 'key' has no default and needs"):
        load_bundle({"shop.py": source.encode()}, "shop.py")
    book = load_bundle({"shop.py": source.encode()}, "shop.py", {"key": "4"})
    assert book.parameters["key"].value == 4
    assert book.parameters["key"].option.required


def test_forms_and_flags_are_drawn_from_its_declaration() -> None:
    declared = load().parameters["size"].option
    assert (declared.name, declared.type, declared.help) == ("size", "count", "Items on a page")
    assert (declared.default, declared.minimum, declared.maximum) == (100, 1, 500)
    assert load().parameters["colour"].option.type == ("red", "blue")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Size", int), "'Size' cannot name an option"),
        (("size", dict), "option 'size' cannot have the type 'dict'; types: int, float, str"),
        (("size", "duraton"), r"Did you mean 'duration'\?"),
        (("size", int, "x"), "default of option 'size': 'x' is not a whole number"),
        (("size", ["a", "b"], "c"), "default of option 'size': "),
        (("size", "duration", 5), "default of option 'size': "),
    ],
)
def test_a_wrong_declaration_is_said(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as found:
        Option(*arguments)
    assert found.value.path == __file__


def test_durations_need_their_unit() -> None:
    assert seconds("1m30s", "within") == 90.0
    assert seconds(timedelta(milliseconds=5), "within") == 0.005
    assert seconds(Option("w", "duration", "2s"), "within") == 2.0
    assert distribution("1s..3s", "think").mean() == 2.0
    assert distribution(timedelta(seconds=2), "think").mean() == 2.0
    assert distribution(Option("w", "duration", "2s"), "think").mean() == 2.0
    for wrong in (5, 0.5, None):
        with pytest.raises(ConfigError, match="has no unit: write a text such as"):
            seconds(wrong, "within")
        with pytest.raises(ConfigError, match="has no unit"):
            distribution(wrong, "think")
