"""`response.check(status=200, json="$.ok", within="300ms")`: recorded, and the user goes on.

| keyword | the reply is right if |
| --- | --- |
| status | its status is the number, in the range "200..299", or in one of a list |
| json | a path leads to a value that is neither null nor false; of a dict, to this value each |
| contains | the body holds the text, bytes, or a match of the compiled pattern; all of a list |
| header | a header is there; of a dict, has this value (what follows a `;` aside) |
| size | the body has this many bytes, or is in the range "1KB..2MB" |
| within | it was complete this long after its intended start |

A reply that says no (4xx, 5xx) keeps its outcome if a check fails: it is an honest failure. If its
status is the one that was asked for, it is served. Checks are compiled once for each set of
arguments: they are on the path of every request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rascal.errors import ConfigError, did_you_mean
from rascal.language import LanguageError, parse, plain
from rascal.load.http.errors import RequestFailed
from rascal.load.parameters import Option, seconds
from rascal.load.paths import MISSING, path
from rascal.load.types import EXPLICIT, SERVED
from rascal.units import plain_text

Test = Callable[[Any], str]
"""What is wrong with a response, short; "" if nothing."""
MAX_COMPILED = 1000
_MAX_SHOWN = 60


class Checked:
    """What a check found: true if all is right."""

    __slots__ = ("problems",)

    def __init__(self, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems

    def __bool__(self) -> bool:
        return not self.problems

    def __repr__(self) -> str:
        return f"Checked({'; '.join(self.problems) or 'all right'})"


_RIGHT = Checked()


class Compiled:
    """The tests of one set of arguments."""

    __slots__ = ("status", "tests")

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.tests: list[Test] = []
        self.status = "status" in wanted
        """A status was asked for, so a reply that says no may be the right one."""
        for name in ORDER:
            if name in wanted:
                self.tests += MAKERS[name](wanted[name])
        for name in wanted:
            if name not in MAKERS:
                raise ConfigError(
                    f"check has no '{name}'; it takes: {', '.join(MAKERS)}."
                    f"{did_you_mean(name, MAKERS)}",
                    value=name,
                    allowed=MAKERS,
                )

    def problems(self, response: Any) -> list[str]:
        """All that is wrong with a response."""
        try:
            return [said for said in [test(response) for test in self.tests] if said]
        except RequestFailed as error:
            return [error.detail]

    def lacks(self, response: Any) -> str:
        """The same as one text."""
        return "; ".join(self.problems(response))


_compiled: dict[Any, Compiled] = {}


def compiled(wanted: Mapping[str, Any]) -> Compiled:
    """The tests for these arguments, made once."""
    key = _key(wanted)
    found = _compiled.get(key)
    if found is None:
        found = Compiled(wanted)
        if len(_compiled) >= MAX_COMPILED:  # arguments that are never the same twice
            _compiled.clear()
        _compiled[key] = found
    return found


def check(response: Any, wanted: Mapping[str, Any]) -> Checked:
    """Check a response, give its call the outcome that follows, and say what was found."""
    try:
        tests = _compiled[tuple(wanted.items())]
    except (KeyError, TypeError):
        tests = compiled(wanted)
    problems: list[str] | None = None
    for test in tests.tests:
        try:
            said = test(response)
        except RequestFailed as error:  # a body that cannot be decoded
            said = error.detail
        if said:
            if problems is None:
                problems = [said]
            else:
                problems.append(said)
    call = response.call
    if tests.status and call.outcome in EXPLICIT and (not problems or not tests.tests[0](response)):
        _give(response, SERVED, "")
    if problems is None:
        return _RIGHT
    if call.outcome == SERVED:
        _give(response, "check_failed", "; ".join(problems))
    return Checked(tuple(problems))


def wrong(response: Any, detail: str) -> None:
    """What came is wrong, though it came with a reply that says it is right."""
    _give(response, "wrong_data", detail)


def _give(response: Any, outcome: str, detail: str) -> None:
    call = response.call
    if call.recorded:
        response.session.recorder.amend(call, outcome, detail)
    call.outcome, call.detail = outcome, detail


def _key(wanted: Mapping[str, Any]) -> Any:
    """Arguments as a key; of those that are no key themselves, their text with its types."""
    key = tuple(wanted.items())
    try:
        hash(key)
    except TypeError:
        return tuple((name, _frozen(value)) for name, value in key)
    return key


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return (dict, tuple((name, _frozen(part)) for name, part in value.items()))
    if isinstance(value, list | tuple | set):
        return (type(value), tuple(_frozen(part) for part in value))
    return (type(value), value)


# ---- the tests


def _status(wanted: Any) -> list[Test]:
    if isinstance(wanted, Option):
        wanted = wanted.value
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        return [lambda response: "" if response.code == wanted else f"status {response.code}"]
    parts = wanted.split(",") if isinstance(wanted, str) else wanted
    if isinstance(parts, bool) or not isinstance(parts, Iterable):
        raise ConfigError(f"status: {wanted!r} is no status: write 200, '200..299' or a list")
    allowed = frozenset(code for part in parts for code in _codes(part))
    if not allowed:
        raise ConfigError("status: a list of none fits no reply")
    return [lambda response: "" if response.code in allowed else f"status {response.code}"]


def _codes(part: Any) -> Iterable[int]:
    found = re.fullmatch(r"\s*([1-9][0-9]{2})(?:\.\.([1-9][0-9]{2}))?\s*", str(part))
    if found is None or int(found[2] or 999) < int(found[1]):
        raise ConfigError(
            f"status: '{part}' is no status: write 200, a range such as '200..299', or a list"
        )
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _within(wanted: Any) -> list[Test]:
    limit = seconds(wanted, "within")
    text = plain_text("duration", limit)

    def test(response: Any) -> str:
        call = response.call
        took = call.ended - call.intended
        if took <= limit + 1e-6:  # times are exact to a microsecond
            return ""
        return f"within {text}: took {took * 1000:.0f}ms" if took < 10 else f"took {took:.1f}s"

    return [test]


def _json(wanted: Any) -> list[Test]:
    if isinstance(wanted, str):
        wanted = [wanted]
    if isinstance(wanted, Mapping):
        return [_leads(text, path(text), value) for text, value in wanted.items()]
    return [_holds(text, path(text)) for text in wanted]


def _holds(text: str, find: Callable[[Any], Any]) -> Test:
    def test(response: Any) -> str:
        data = _data(response)
        if data is MISSING:
            return "the body is no JSON"
        value = find(data)
        if value is MISSING:
            return f"no {text}"
        return f"{text} is {json.dumps(value)}" if value is None or value is False else ""

    return test


def _leads(text: str, find: Callable[[Any], Any], wanted: Any) -> Test:
    """`wanted` is a value, or a function that says whether it will do."""
    if isinstance(wanted, Option):
        wanted = wanted.value

    def test(response: Any) -> str:
        data = _data(response)
        if data is MISSING:
            return "the body is no JSON"
        value = find(data)
        if value is MISSING:
            return f"no {text}"
        if callable(wanted):
            return "" if wanted(value) else f"{text} is {_shown(value)}"
        same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
        return "" if same else f"{text} is {_shown(value)}, not {_shown(wanted)}"

    return test


def _shown(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _data(response: Any) -> Any:
    """The body as JSON, parsed once for all tests of a reply; MISSING if it is none."""
    body = response.body
    if response is _last[0] and body is _last[1]:
        return _last[2]
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = MISSING
    _last[:] = (response, body, data)
    return data


_last: list[Any] = [None, None, None]


def _contains(wanted: Any) -> list[Test]:
    if isinstance(wanted, list | tuple):
        return [test for part in wanted for test in _contains(part)]
    if isinstance(wanted, re.Pattern):
        pattern: re.Pattern[bytes] = (
            wanted
            if isinstance(wanted.pattern, bytes)
            else re.compile(wanted.pattern.encode(), wanted.flags & ~re.UNICODE)
        )
        said = f"no match of {_shown(str(wanted.pattern))}"
        return [lambda response: "" if pattern.search(response.body) else said]
    if not isinstance(wanted, str | bytes | Option):
        raise ConfigError(f"contains: {wanted!r} is no text, bytes or compiled pattern")
    part = wanted if isinstance(wanted, bytes) else str(wanted).encode()
    absent = f"no {_shown(part.decode('utf-8', 'replace'))} in the body"
    return [lambda response: "" if part in response.body else absent]


def _header(wanted: Any) -> list[Test]:
    if isinstance(wanted, str):
        wanted = {wanted: None}
    if not isinstance(wanted, Mapping):
        wanted = dict.fromkeys(wanted)
    return [_has(name, value) for name, value in wanted.items()]


def _has(name: str, wanted: Any) -> Test:
    def test(response: Any) -> str:
        values = response.headers.getRawHeaders(name)
        if not values:
            return f"no header {name}"
        if wanted is None:
            return ""
        for value in values:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if isinstance(wanted, re.Pattern):
                if wanted.search(text):
                    return ""
            elif text == str(wanted) or text.partition(";")[0].rstrip() == str(wanted):
                return ""
        return f"{name} is {_shown(text)}"

    return test


def _size(wanted: Any) -> list[Test]:
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        low = high = float(wanted)
    else:
        low, high = _bounds(str(wanted))

    def test(response: Any) -> str:
        size = len(response.body)
        return "" if low <= size <= high else f"{size} bytes"

    return [test]


def _bounds(text: str) -> tuple[float, float]:
    first, dots, last = text.partition("..")
    try:
        low = _bytes(first) if first.strip() else 0.0
        high = (_bytes(last) if last.strip() else float("inf")) if dots else low
    except LanguageError as error:
        raise ConfigError(f"size: {error.message}", value=text) from None
    if high < low or text.strip() in ("", ".."):
        raise ConfigError(f"size: '{text}' holds nothing: write 512, '2KB' or '1KB..2MB'")
    return low, high


def _bytes(text: str) -> float:
    text = text.strip()
    return float(text) if text.isdigit() else float(plain(parse("size", text)))


MAKERS: dict[str, Callable[[Any], list[Test]]] = {
    "status": _status,
    "json": _json,
    "contains": _contains,
    "header": _header,
    "size": _size,
    "within": _within,
}
ORDER = tuple(MAKERS)
"""The status first: `check` looks at its test again."""
