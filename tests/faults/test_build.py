"""Builders: what becomes of a sentence, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from subjects import PLAIN, QUIET, TOY, Subject, fault, phrase, roulette, script, spec

from rascal.errors import ConfigError
from rascal.faults.build import MAX_STEPS, build_fault, kinds, tables
from rascal.faults.matching import ALWAYS
from rascal.language import LanguageError, from_json
from rascal.wire.types import WireProtocol

# ---- levels and moments

LEVELS: list[tuple[WireProtocol, str, str, tuple[str, ...]]] = [
    (TOY, "delay 2s", "message", ("request",)),
    (TOY, "delay 2s at request,reply", "message", ("request", "reply")),
    (TOY, "delay 2s at connect", "connection", ()),
    (TOY, "delay 2s at greeting", "message", ("reply",)),
    (TOY, "delay 2s per exchange", "message", ("request",)),
    (TOY, "delay 2s per connection", "connection", ()),
    (TOY, "delay 2s match status=500..599", "message", ("reply",)),
    (TOY, "delay 2s match command=CONNECT", "message", ("reply",)),
    (TOY, "delay 2s match command=CONNECT,GET", "message", ("request",)),
    (QUIET, "hang match command=CONNECT", "message", ("request",)),
    (PLAIN, "delay 2s", "connection", ()),
    (PLAIN, "hang", "connection", ()),
    (PLAIN, "hang at connect", "connection", ()),
    (PLAIN, "stall 10KB", "connection", ()),
    (PLAIN, "10% reset", "connection", ()),
    (TOY, "stall 10KB", "message", ("during",)),
    (TOY, "stall rows=3 match status=200", "message", ("during",)),
    (TOY, "reset", "message", ("request",)),
    (TOY, "reset after=1KB", "message", ("during",)),
    (TOY, "reset after=1KB per connection", "connection", ()),
    (TOY, "close at reply", "message", ("reply",)),
    (TOY, "refuse", "listener", ()),
    (TOY, "refuse for 5s", "listener", ()),
    (TOY, "10% refuse", "connection", ()),
    (TOY, "refuse match client=10.0.0.0/8", "connection", ()),
    (TOY, "refuse count 3", "connection", ()),
    (TOY, "refuse every 3", "connection", ()),
    (TOY, "unreachable", "listener", ()),
    (TOY, "throttle 10KB/s direction to_client", "connection", ()),
    (TOY, "error deadlock", "message", ("request",)),
    (TOY, "error 1213", "message", ("request",)),
    (TOY, "error late", "message", ("reply",)),
    (TOY, "error too_many", "connection", ()),
    (TOY, "error unwelcome", "message", ("reply",)),
    (TOY, "error too_many match command=LOGIN", "message", ("request",)),
    (TOY, "error too_many match client=10.0.0.0/8", "connection", ()),
    (TOY, "error too_many at greeting", "message", ("reply",)),
    (TOY, "error deadlock match status=200", "message", ("reply",)),
    (TOY, "error deadlock at connect", "connection", ()),
    (TOY, "truncate rows=3", "message", ("during",)),
    (TOY, "lose_reply then=reset", "message", ("reply",)),
    (TOY, "empty", "message", ("reply",)),
    (TOY, "empty at request", "message", ("request",)),
]


@pytest.mark.parametrize(("protocol", "text", "level", "at"), LEVELS)
def test_level_and_moments(
    protocol: WireProtocol, text: str, level: str, at: tuple[str, ...]
) -> None:
    found = spec(text, protocol)
    assert (found.level, found.at) == (level, at)


def test_everything_is_carried_over() -> None:
    found = spec(
        "20% delay(1s..3s) match command=GET and key^=a at reply skip 2 every 3 count 4 "
        "for 20s enabled no on_remove close name slow"
    )
    assert found.name == "slow"
    assert found.kind is kinds()["delay"]
    assert found.options.delay.mean() == 2
    assert found.probability == pytest.approx(0.2)
    assert (found.skip, found.every, found.count, found.lasts) == (2, 3, 4, 20)
    assert not found.enabled
    assert found.on_remove == "close"
    assert found.match.commands == {"GET"}
    assert found.text.startswith("20% delay(1s..3s) match command=GET and key^=a at reply skip 2")
    assert found.phrase.kind == "delay"
    assert found.protocol is TOY


def test_what_is_not_said() -> None:
    found = spec("hang")
    assert found.name == "hang"
    assert found.match is ALWAYS
    assert (found.probability, found.skip, found.every) == (1.0, 0, 1)
    assert (found.count, found.lasts, found.enabled, found.on_remove) == (
        None,
        None,
        True,
        "release",
    )
    assert build_fault(phrase("hang"), TOY, name="given").name == "given"


def test_the_greeting_is_the_reply_to_connect() -> None:
    found = spec("hang at greeting match client=10.0.0.0/8")
    assert found.match.commands == {"CONNECT"}
    assert found.match.matches(Subject("CONNECT", connection=None)) is False  # no client there
    assert spec("hang at greeting").match.matches(Subject("CONNECT"))
    assert not spec("hang at greeting").match.matches(Subject("GET"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refuse count 1", True),
        ("max_connections 3", True),
        ("delay 1s at connect", True),
        ("error too_many", True),
        ("throttle 1KB/s", False),
        ("reset per connection", False),
        ("hang per connection", False),
    ],
)
def test_what_strikes_connections_only_when_they_are_accepted(text: str, expected: bool) -> None:
    assert spec(text).only_at_start is expected


def test_tables_hold_what_the_protocol_has() -> None:
    toy, quiet, plain = tables(TOY), tables(QUIET), tables(PLAIN)
    udp_only = {"reorder"}
    assert set(toy) == {n for n, kind in kinds().items() if not kind.protocols} - udp_only
    assert {"error", "replace", "empty"}.isdisjoint(quiet)
    assert {"lose_reply", "truncate", "duplicate", "stale", "rate_limit"}.isdisjoint(plain)
    assert list(toy["error"]) == ["error", "text", "retry_after"]
    assert list(toy["replace"]) == ["value"]
    assert list(toy["truncate"])[:2] == ["bytes", "rows"]
    assert "rows" not in quiet["truncate"]
    assert "retry_after" in toy["max_connections"]


# ---- what is refused

REFUSED: list[tuple[WireProtocol, str, str, str]] = [
    (PLAIN, "lose_reply", "'lose_reply' strikes messages, and plain has none", "lose_reply"),
    (PLAIN, "error(x)", "plain has no 'error'; kinds of plain: blackhole", "error"),
    (QUIET, "error(x)", "quiet has no 'error'; kinds of quiet: blackhole, close", "error"),
    (TOY, "lose_reply at request", "lose_reply strikes at reply, greeting on toy", "request"),
    (TOY, "throttle 1KB/s at reply", "throttle strikes no moment on toy, not at reply", "reply"),
    (PLAIN, "hang at request", "hang strikes at connect on plain, not at request", "request"),
    (QUIET, "hang at greeting", "quiet has no greeting: the client speaks first", "greeting"),
    (TOY, "lose_reply at reply,greeting", "lose_reply strikes at one moment, found", "reply,gr"),
    (TOY, "delay 1s at request,connect", "'connect' stands alone", "request,connect"),
    (TOY, "lose_reply per connection", "lose_reply strikes exchanges: it cannot be per", "conn"),
    (PLAIN, "hang per exchange", "hang strikes connections here: it cannot be per exch", "exch"),
    (TOY, "refuse per exchange", "refuse strikes the listener here", "exchange"),
    (TOY, "hang at request per connection", "per connection there is no 'request'", "request"),
    (TOY, "unreachable match client=1.2.3.4", "it takes no 'match'", "client=1.2.3.4"),
    (TOY, "10% unreachable", "it takes no 'probability'", "10%"),
    (TOY, "unreachable count 3", "it takes no 'count'", "3"),
    (TOY, "throttle 1KB/s match key=a", "can match only client, not 'key'", "key=a"),
    (TOY, "hang at connect match n=1", "can match only client, not 'n'", "n=1"),
    (TOY, "refuse match command=GET", "can match only client, not 'command'", "command=GET"),
    (
        TOY,
        "lose_request match status=500",
        "'status' is known with the reply, and lose_request strikes at request",
        "status=500",
    ),
    (
        TOY,
        "delay 1s at request,reply match status=500",
        "delay strikes at request: write 'at reply'",
        "status=500",
    ),
    (TOY, "hang at greeting match key=a", "'key' is not known at the greeting", "key=a"),
    (TOY, "hang at greeting match command=GET", "no command but CONNECT", "command=GET"),
    (TOY, "lose_request match command=CONNECT", "lose_request cannot strike the greeting", "comm"),
    (TOY, "delay 1s direction to_client", "delay strikes messages here: write 'at reque", "to_cl"),
    (TOY, "lose_reply direction to_client", "lose_reply has no direction", "to_client"),
    (TOY, "error nonsense", "toy has no error 'nonsense'; errors: deadlock, too_many", "nonsense"),
    (TOY, "error deadlok", "Did you mean 'deadlock'?", "deadlok"),
    (TOY, "truncate", "truncate takes bytes=… or rows=…, none is given", "truncate"),
    (TOY, "truncate 1KB rows=3", "truncate takes bytes=… or rows=…, not both", "1KB"),
    (QUIET, "truncate 1KB then=end", "quiet cannot end a reply that is half sent", "end"),
    (TOY, "truncate 1KB then=error", "then=error lacks its error", "error"),
    (TOY, "truncate 1KB then=close error=late", "no meaning with then=close", "late"),
    (TOY, "truncate 1KB error=nope", "toy has no error 'nope'", "nope"),
    (TOY, "stall 1KB rows=3", "stall takes bytes (after) or rows, not both", "1KB"),
    (TOY, "reset 1KB at reply", "reset after so many bytes strikes during the reply", "1KB"),
    (TOY, "corrupt", "corrupt takes share=… or gap=…, one of them", "corrupt"),
    (TOY, "corrupt 1% gap=1KB", "corrupt takes share=… or gap=…, one of them", "1%"),
    (TOY, "corrupt 0%", "share is above 0% and at most 100%", "0%"),
    (TOY, "slice 10B vary=10B", "vary is less than size", "10B"),
    (TOY, "rate_limit 1/s mode=error", "mode=error lacks its error", "error"),
    (TOY, "rate_limit 1/s mode=wait error=late", "no meaning with mode=wait", "late"),
    (TOY, "rate_limit 1/s error=nope", "toy has no error 'nope'", "nope"),
    (TOY, "concurrency 2 queue=3", "queue has no bound to keep", "3"),
    (TOY, "max_connections 2 error=nope", "toy has no error 'nope'", "nope"),
    (PLAIN, "max_connections 2 error=nope", "plain has no errors", "nope"),
]


@pytest.mark.parametrize(("protocol", "text", "message", "at"), REFUSED)
def test_refused(protocol: WireProtocol, text: str, message: str, at: str) -> None:
    with pytest.raises(LanguageError) as caught:
        spec(text, protocol)
    assert message in caught.value.message
    where = text[caught.value.at : caught.value.end]
    assert where.startswith(at)


def test_errors_at_connect_need_a_server_that_says_them() -> None:
    class Later(type(QUIET)):  # type: ignore[misc]
        name = "later"
        errors = TOY.errors

    later = Later()
    assert spec("error too_many", later).level == "connection"
    with pytest.raises(ConfigError, match="not to a new connection; errors at connect: too_many"):
        spec("error deadlock at connect", later)
    with pytest.raises(ConfigError, match="not to a new connection"):
        spec("max_connections(3, error=deadlock)", later)


def test_errors_of_json_carry_pointers() -> None:
    data = {"kind": "error", "options": {"error": "nope"}}
    read = from_json("fault", data, kinds=tables(TOY), fields=TOY.fields)
    with pytest.raises(ConfigError) as caught:
        build_fault(read, TOY)
    assert caught.value.pointer == "/options/error"
    assert "deadlock" in caught.value.allowed


def test_an_unknown_kind_is_refused_by_the_builder_too() -> None:
    from rascal.language import Phrase

    with pytest.raises(ConfigError, match="kind 'explode' is not known; allowed: "):
        build_fault(Phrase("explode"), TOY)


# ---- scripts


def test_steps_are_expanded() -> None:
    found = script("pass 2, error(deadlock) count 3, lose_reply(then=reset), pass", "command=GET")
    kinds_ = [step and step.kind.name for step in found.steps]
    assert kinds_ == [None, None, "error", "error", "error", "lose_reply", None]
    assert found.steps[2] is not None
    assert found.steps[2].count is None
    assert found.match.commands == {"GET"}
    assert found.level == "message"
    assert found.text == "pass 2, error(deadlock) count 3, lose_reply(then=reset), pass"


def test_a_script_without_messages_takes_connections() -> None:
    found = script("pass 2, reset, pass", protocol=PLAIN)
    assert found.level == "connection"
    assert found.only_at_start
    assert found.steps[2] is not None
    assert found.steps[2].level == "connection"


@pytest.mark.parametrize(
    ("text", "match", "message"),
    [
        ("pass, throttle(1KB/s)", "", "strike exchanges on toy; 'throttle' strikes connections"),
        ("pass, error(too_many)", "", "'error' strikes connections here"),
        ("stale", "", "stale watches every matching exchange: it cannot be a step of a script"),
        ("lose_request", "status=200", "'status' is known with the reply"),
        ("error(nope)", "", "toy has no error 'nope'"),
        (f"pass {MAX_STEPS}, pass", "", f"at most {MAX_STEPS} steps"),
    ],
)
def test_scripts_refuse(text: str, match: str, message: str) -> None:
    with pytest.raises(LanguageError) as caught:
        script(text, match)
    assert message in caught.value.message


# ---- roulettes


def test_a_roulette_is_about_what_any_choice_is_about() -> None:
    found = roulette("10% delay(2s) match command=GET, 5% error(deadlock) match command=SET")
    assert [choice.probability for choice in found.choices] == [0.1, 0.05]
    assert found.match.commands == {"GET", "SET"}
    assert found.match.matches(Subject("SET"))
    assert not found.match.matches(Subject("DEL"))
    assert found.level == "message"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10% hang count 3", "'count' has no meaning in a roulette"),
        ("10% hang for 3s", "'for' has no meaning in a roulette"),
        ("10% hang, 10% throttle(1KB/s)", "'throttle' strikes connections, 'hang' exchanges"),
        ("10% concurrency(3)", "concurrency watches every matching exchange"),
        ("10% hang at reply match status=200, 10% hang", "all of them, or in none"),
    ],
)
def test_roulettes_refuse(text: str, message: str) -> None:
    with pytest.raises(LanguageError) as caught:
        roulette(text)
    assert message in caught.value.message


def test_a_choice_strikes_only_what_it_matches() -> None:
    found = fault(roulette("50% hang match command=GET, 50% lose_request match command=SET"))
    struck: dict[str, set[Any]] = {"GET": set(), "SET": set()}
    for number in range(200):
        command = "GET" if number % 2 else "SET"
        strike = found.pick(Subject(command), True, set(), False)
        struck[command].add(None if strike is None else strike.spec.kind.name)
    assert struck == {"GET": {None, "hang"}, "SET": {None, "lose_request"}}
    assert found.matched == found.fired + sum(found.skipped.values()) + found.reserved
