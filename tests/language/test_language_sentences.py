"""The language on tables: what is accepted, in which canonical form, and what is refused, how."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

import pytest

from rascal.language import (
    MOMENTS,
    LanguageError,
    from_argv,
    from_json,
    parse,
    show,
    to_json,
)
from rascal.options import Option, OptionTable
from rascal.wire.types import MOMENTS as WIRE_MOMENTS
from rascal.wire.types import Field

THEN = ("hang", "close", "reset")
KINDS = {
    "delay": OptionTable(
        Option("delay", "distribution", "how long", required=True),
        Option("buffer", "size", "bound", minimum=1024),
    ),
    "hang": OptionTable(),
    "reset": OptionTable(),
    "empty": OptionTable(),
    "stale": OptionTable(Option("age", "duration", "how old", maximum=3600.0)),
    "error": OptionTable(
        Option("error", "text", "which"),
        Option("text", "text", "what it says"),
        Option("retry_after", "duration", "when to come back"),
    ),
    "lose_reply": OptionTable(Option("then", THEN, "what the client sees")),
    "throttle": OptionTable(Option("rate", "throughput", "how fast")),
    "replace": OptionTable(Option("text", "text", "what"), Option("address", "text", "where")),
    "max_connections": OptionTable(
        Option("limit", "count", "how many", minimum=1, maximum=100_000),
        Option("error", "text", "which"),
    ),
    "idle_kill": OptionTable(
        Option("after", "duration", "idle for"),
        Option("then", ("silent", "close", "reset"), "how"),
    ),
    "truncate": OptionTable(
        Option("after", "size", "where"),
        Option("rows", "count", "where"),
        Option("then", THEN, "how"),
    ),
}
RECIPES = {
    "overloaded-database": OptionTable(Option("strength", "percentage", "how bad")),
    "cold-cache": OptionTable(),
}
CLIENT = Field("client", "address", "", "connection")
N = Field("n", "number", "")
FIELDS: dict[str, tuple[Field, ...]] = {
    "mysql": (
        CLIENT,
        N,
        Field("command", "word", "", folded=True),
        Field("database", "text", ""),
        Field("in_transaction", "flag", ""),
        Field("sql", "text", "", folded=True),
        Field("statement", "word", "", folded=True),
        Field("user", "text", ""),
    ),
    "http": (
        CLIENT,
        N,
        Field("body", "text", ""),
        Field("header.NAME", "text", ""),
        Field("host", "name", ""),
        Field("method", "word", ""),
        Field("path", "text", ""),
        Field("status", "number", "", "reply"),
        Field("size", "size", "", "reply"),
    ),
    "memcached": (CLIENT, N, Field("command", "word", ""), Field("key", "text", "")),
}


def read(type_: str, text: str, protocol: str | None = None, **more: Any) -> Any:
    fields = FIELDS[protocol] if protocol else None
    return parse(type_, text, kinds=KINDS, fields=fields, protocol=protocol, **more)


def read_json(type_: str, data: Any, protocol: str | None = None, **more: Any) -> Any:
    fields = FIELDS[protocol] if protocol else None
    return from_json(type_, data, kinds=KINDS, fields=fields, protocol=protocol, **more)


ACCEPTED = [
    ("duration", "2s", None),
    ("duration", "1m30s", "90s"),
    ("duration", "0.25s", "250ms"),
    ("duration", "0", "0s"),
    ("duration", "24h", "1d"),
    ("duration", "1500us", "1.5ms"),
    ("duration", "1h30m", "90m"),
    ("size", "64KB", None),
    ("size", "1.5MB", "1500KB"),
    ("size", "4MiB", None),
    ("size", "1024B", "1KiB"),
    ("rate", "200/s", None),
    ("rate", "90/m", "1.5/s"),
    ("rate", "1/h", None),
    ("throughput", "10Mbit/s", "1250KB/s"),
    ("throughput", "100KB/s", None),
    ("probability", "20%", None),
    ("probability", "0.2", "20%"),
    ("probability", "12.5%", None),
    ("flag", "no", None),
    ("flag", "true", "yes"),
    ("distribution", "1s..3s", None),
    ("distribution", "1..3s", "1s..3s"),
    ("distribution", "uniform(1s, 3s)", "1s..3s"),
    ("distribution", "normal(800ms, 100ms)", None),
    ("distribution", "normal(sd=100ms, mean=0.8s)", "normal(800ms, 100ms)"),
    ("distribution", "pareto(100ms, 1.5, max=30s)", None),
    ("distribution", "one_of(10ms, 10ms, 5s)", None),
    ("distribution", "exponential(200ms)", None),
    (
        "distribution",
        "percentiles(p99=1.2s, p50=20ms, p95=180ms)",
        "percentiles(p50=20ms, p95=180ms, p99=1.2s)",
    ),
    ("distribution", "lognormal(80ms,400ms)", "lognormal(80ms, 400ms)"),
    ("match", "command=SET and key^=session:", None),
    ("match", "sql~(?i)^insert", None),
    ("match", "status >= 500", "status>=500"),
    ("match", "status=500..599,429", None),
    ("match", "n=10..", None),
    ("match", "client=10.0.0.0/8", None),
    ("match", 'sql ~ "for update$"', 'sql~"for update$"'),
    ("match", "not command=GET,MGET", "command!=GET,MGET"),
    ("match", "user!=root and not sql~x{2,3}", None),
    ("match", "header.X-Tenant=acme and path^=/a,/b", None),
    ("match", 'key="say ""hi"" and go"', None),
    ("match", "path='/a,b'", 'path="/a,b"'),
    ("match", 'key=""', None),
    ("match", "command=SET\n  and key^=a", "command=SET and key^=a"),
    ("match", 'key="*"', None),
    ("match", "path=/a?x=1", None),
    ("fault", "delay 2s", "delay(2s)"),
    ("fault", "20% delay(1s)", None),
    ("fault", "error deadlock text='too busy'", 'error(deadlock, text="too busy")'),
    (
        "fault",
        "lose_reply then=reset match sql~(?i)^commit count 1",
        "lose_reply(then=reset) match sql~(?i)^commit count 1",
    ),
    (
        "fault",
        "error(deadlock) on orders match statement=INSERT and sql~orders every 3 count 2",
        None,
    ),
    ("fault", "delay(normal(80ms, 20ms)) at request,reply", None),
    ("fault", "idle_kill 60s then=silent", "idle_kill(1m, then=silent)"),
    ("fault", "hang for 20s probability 5%", "5% hang for 20s"),
    ("fault", "stale from fault+5s until fault.end-10s name old", None),
    ("fault", "replace(address=10.0.0.9) match name=db.shop.internal for 40s", None),
    ("fault", "error('for')", 'error("for")'),
    (
        "fault",
        "recipe overloaded-database on db for 60s",
        "recipe(overloaded-database) on db for 1m",
    ),
    ("faults", "20% delay(1s), 10% error(503)", None),
    (
        "faults",
        "\n  20% delay 1s\n  10% error 503 match sql~^a and\n  key=b,\n",
        "20% delay(1s), 10% error(503) match sql~^a and key=b",
    ),
    ("script", "pass 2, error(deadlock), lose_reply(then=reset), pass", None),
    ("script", "\npass 2,\nerror deadlock count 3\nhang", "pass 2, error(deadlock) count 3, hang"),
    (
        "profile",
        "ramp 0..200/s 30s, hold 200/s 5m, spike 1000/s 5s",
        "ramp 0..200/s for 30s, hold 200/s for 5m, spike 1000/s for 5s",
    ),
    ("profile", "ramp 0..50 users for 30s, hold 50 users for 5m", None),
    ("profile", "ramp 200/s 5s, hold 200/s", "ramp 200/s for 5s, hold 200/s"),
    ("profile", "wave 50..150/s for 10m every 1m, pause for 5s", None),
    ("objective", "p95(checkout) < 300ms over 10s in fault", None),
    ("objective", "failed>50% for 10s", "failed > 50% for 10s"),
    ("objective", "goodput_kept ≥ 80% in fault", "goodput_kept >= 80% in fault"),
    ("objective", 'p99.9("GET /cart", pay) <= 2s', None),
    ("objective", "attempts <= 1.5", None),
    ("time", "fault+5s", None),
    ("time", "fault.end-10s", None),
    ("time", "start+90s", None),
]


REJECTED = [
    ("duration", "2", None, 1, "'2' has no unit: write 2s or 2ms (units: us, ms, s, m, h, d)"),
    (
        "duration",
        "2sec",
        None,
        1,
        "'sec' is not a unit of duration; units: us, ms, s, m, h, d. Did you mean 2s?",
    ),
    ("duration", "1:30", None, 1, "expected a duration such as 2s, found '1:30'"),
    ("duration", "-2s", None, 1, "expected a duration such as 2s, found '-2s'"),
    (
        "duration",
        "30s1m",
        None,
        1,
        "in '30s1m' the larger unit comes first, each once, as in 1m30s",
    ),
    ("duration", "0.1us", None, 1, "'0.1us' is finer than a microsecond"),
    (
        "size",
        "64K",
        None,
        1,
        "'K' is not a unit of size; units: B, KB, MB, GB, KiB, MiB, GiB. Did you mean 64KB?",
    ),
    ("rate", "200", None, 1, "'200' has no unit: write 200/s (units: /s, /m, /h)"),
    ("rate", "200rps", None, 1, "'rps' is not a unit of rate; units: /s, /m, /h"),
    ("probability", "1", None, 1, "'1' could mean 1% or a share of 1: write 1% or 100%"),
    ("probability", "20", None, 1, "'20' could mean 20% or a share of 1: write 20%"),
    ("probability", "120%", None, 1, "a probability is at most 100%, found 120%"),
    ("flag", "maybe", None, 1, "flag 'maybe' is not known; allowed: yes, no, true, false, on, off"),
    ("distribution", "3s..1s", None, 1, "the range 3s..1s runs backwards"),
    ("distribution", "normal(800ms)", None, 1, "normal lacks sd"),
    ("distribution", "normal(800ms, 100)", None, 15, "'100' has no unit: write 100s or 100ms"),
    (
        "distribution",
        "gauss(1s, 2s)",
        None,
        1,
        "distribution 'gauss' is not known; allowed: uniform",
    ),
    ("distribution", "normal(1s, 2s", None, 14, "a ')' is missing"),
    ("distribution", "percentiles(p50=2s, p95=1s)", None, 1, "percentiles must grow"),
    ("match", "qury~^select", "mysql", 1, "mysql has no match field 'qury'; fields: client"),
    ("match", "sql=~x", None, 4, "'=~' is not an operator; write sql~…"),
    ("match", "a==1", None, 2, "'==' is not an operator; write a=…"),
    ("match", "sql!~x", None, 4, "'!~' is not an operator; write not sql~…"),
    (
        "match",
        "key=session:*",
        None,
        13,
        "'*' has no meaning here: write key^=session: (starts with)",
    ),
    ("match", "a=1 or b=2", None, 5, "there is no 'or': list values with commas"),
    ("match", "a=1, b=2", None, 4, "conditions are joined by 'and'"),
    ("match", "a=1 and", None, 8, "expected a condition such as command=SET"),
    ("match", "key=", None, 5, "a value is missing after 'key='"),
    ("match", "sql~insert into", None, 12, "nothing is expected after the match, found 'into'"),
    ("match", "sql~(x", None, 5, "the pattern is not valid"),
    ("match", 'sql~"x', None, 5, "the quote that opens here is not closed"),
    ("fault", "dealy 2s", None, 1, "kind 'dealy' is not known; allowed: delay, hang"),
    (
        "fault",
        "delay(dealy=2s)",
        None,
        7,
        "delay has no option 'dealy'; options: buffer, delay. Did you mean 'delay'?",
    ),
    (
        "fault",
        "delay(2s, match=x)",
        None,
        11,
        "delay has no option 'match'; options: buffer, delay; 'match' is a clause",
    ),
    ("fault", "delay 2", None, 7, "'2' has no unit: write 2s or 2ms"),
    (
        "fault",
        "lose_reply(then=rst)",
        None,
        17,
        "then 'rst' is not known; allowed: hang, close, reset",
    ),
    (
        "fault",
        "lose_reply reset",
        None,
        12,
        "lose_reply takes no value without a name; options: then",
    ),
    ("fault", "delay 2s every 0", None, 16, "every is a whole number from 1, found '0'"),
    ("fault", "delay 2s count two", None, 16, "count is a whole number from 1, found 'two'"),
    ("fault", "delay 2s fro 20s", None, 10, "expected ',' or one of on, match, at"),
    ("fault", "delay(2s) fro 20s", None, 11, "expected ',' or one of on, match"),
    ("fault", "delay 2s for 20s for 30s", None, 18, "'for' is given twice"),
    (
        "fault",
        "delay 2s for 20s until fault.end",
        None,
        18,
        "'for' and 'until' both say when it ends",
    ),
    ("fault", "pass 2", None, 1, "'pass' stands only in a script"),
    ("script", "pass 2, error(deadlock) for 2s", None, 25, "a step has no 'for' (only at, count)"),
    ("script", "pass,, hang", None, 6, "the script has an empty place before this comma"),
    ("profile", "hold 200 5m", None, 6, "'200' has no unit: write 200/s or 200 users"),
    ("profile", "ramp 200/s", None, 11, "how long? write ramp … for 30s"),
    ("objective", "p95(checkout) < 300", None, 17, "'300' has no unit: write 300s or 300ms"),
    ("objective", "p95 = 300ms", None, 5, "expected < <= > or >= after 'p95'"),
    ("objective", "errors < 1%", None, 1, "measure 'errors' is not known"),
    ("time", "5s", None, 1, "'5s' is not a time: write a phase"),
]

ARGV = [
    (
        ["delay", "2s", "match", "sql~for update", "for", "20s"],
        'delay(2s) match sql~"for update" for 20s',
    ),
    (
        ["error", "deadlock", "match", "statement=COMMIT", "count", "1"],
        "error(deadlock) match statement=COMMIT count 1",
    ),
    (["delay", "normal(80ms, 20ms)"], "delay(normal(80ms, 20ms))"),
    (["20% delay(1s) match key^=a"], "20% delay(1s) match key^=a"),
]


@pytest.mark.parametrize(("type_", "text", "canonical"), ACCEPTED)
def test_accepted(type_: str, text: str, canonical: str | None) -> None:
    value = read(type_, text)
    assert show(value) == (canonical or text)
    assert read(type_, show(value)) == value
    assert read_json(type_, json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize(("type_", "text", "protocol", "column", "message"), REJECTED)
def test_rejected(type_: str, text: str, protocol: str | None, column: int, message: str) -> None:
    with pytest.raises(LanguageError) as caught:
        read(type_, text, protocol)
    assert caught.value.message[: len(message)] == message
    assert caught.value.column == column


@pytest.mark.parametrize(("words", "canonical"), ARGV)
def test_shell_words(words: list[str], canonical: str) -> None:
    assert show(read("fault", from_argv(words))) == canonical


TYPED = [
    ("match", "command=GET,MGET and key^=session:", "memcached", None),
    ("match", "in_transaction=true", "mysql", "in_transaction=yes"),
    ("match", "status=500..599,429", "http", None),
    ("match", "size=1MB..", "http", None),
    ("match", "size >= 1MB and n<10", "http", "size>=1MB and n<10"),
    ("match", "client=10.0.0.0/8,::1", "http", None),
    ("match", "path=1..5", "http", 'path="1..5"'),
    ("match", "header.X-Tenant=acme", "http", None),
    (
        "fault",
        "throttle 10Mbit/s direction to_client",
        "http",
        "throttle(1250KB/s) direction to_client",
    ),
    ("fault", "hang match n=3 per connection", "http", "hang match n=3 per connection"),
    ("fault", "hang at request,reply, ", "http", None),
    ("roulette", "10% delay(2s), 5% error(500)", "http", None),
    ("script", "pass, pass 3, hang", "http", None),
    (
        "fault",
        "recipe overloaded-database strength=20% on db",
        None,
        "recipe(overloaded-database, strength=20%) on db",
    ),
    ("address", "127.0.0.1:80", None, None),
    ("address", "[::1]:80", None, None),
    ("address", "unix:/run/redis.sock", None, None),
    ("endpoint", '"tcp:host=127.0.0.1:port=80"', None, None),
    ("endpoint", "db.internal:3306", None, None),
    ("text", '"say ""hi"""', None, None),
    ("text", '"it\'s"', None, None),
]

TYPED_REJECTED = [
    ("match", "status=5xx", "http", 8, "'status' is a number, found '5xx': write 500..599"),
    ("match", "n~3", "http", 2, "'n' is a number and has no '~'; operators: = != > >= < <="),
    ("match", "path>3", "http", 5, "'path' is a text and has no '>'; operators: = != ^= ~"),
    ("match", "n=9..3", "http", 3, "the range 9..3 runs backwards"),
    ("match", "size>=1024", "http", 7, "'1024' has no unit: write 1024KB or 1024B"),
    ("match", "in_transaction=maybe", "mysql", 16, "'in_transaction' is yes or no, found 'maybe'"),
    ("match", "client=10.0.0.300", "http", 8, "'10.0.0.300' is not an address: write 10.0.0.7"),
    ("match", "header.=x", "http", 1, "http has no match field 'header.'"),
    ("match", "sql~(?!x)y", "mysql", 5, "the pattern has look-around ('(?!')"),
    ("match", "sql~(a)\\1", "mysql", 5, "the pattern has a back-reference ('\\1')"),
    (
        "match",
        "qury~^select",
        "mysql",
        1,
        "mysql has no match field 'qury'; fields: client, command, "
        "database, in_transaction, n, sql, statement, user",
    ),
    (
        "match",
        "sqll~^UPDATE",
        "mysql",
        1,
        "mysql has no match field 'sqll'; fields: client, command, "
        "database, in_transaction, n, sql, statement, user. Did you mean 'sql'?",
    ),
    ("fault", "delay", None, 1, "delay lacks 'delay': how long"),
    ("fault", "stale(2h)", None, 7, "age is at most 1h, found 2h"),
    ("fault", "max_connections 0", None, 17, "limit is at least 1, found 0"),
    ("fault", "delay 2s buffer=10B", None, 17, "buffer is at least 1KiB, found 10B"),
    (
        "fault",
        "hang per message",
        None,
        10,
        "per 'message' is not known; allowed: exchange, connection",
    ),
    ("fault", "hang at lunch", None, 9, "moment 'lunch' is not known; allowed: connect, greeting"),
    ("fault", "hang at reply,reply", None, 9, "each moment stands once"),
    ("fault", "recipe nothing-here", None, 8, "recipe 'nothing-here' is not known; allowed: overl"),
    (
        "fault",
        "recipe cold-cache count 2",
        None,
        19,
        "a recipe has no 'count' (only on, from, until",
    ),
    ("fault", "20% recipe cold-cache", None, 5, "a recipe has no 'probability'"),
    ("fault", "hang on db", None, 6, "'on' has no meaning here: the section names the proxy"),
    ("fault", "delay 99999999999999999s", None, 7, "expected a duration such as 2s, found"),
    ("script", "20% hang", None, 1, "a step has no probability"),
    ("script", "pass at reply", None, 6, "a step has no 'at' (only count)"),
    ("roulette", "delay 2s", None, 1, "each fault of a roulette has its share: write 10% delay"),
    (
        "roulette",
        "60% hang, 41% reset",
        None,
        11,
        "the shares of a roulette are together at most 100%",
    ),
    ("distribution", "80ms±20ms", None, 1, "expected a duration such as 2s, found '80ms±20ms'"),
    (
        "distribution",
        "normal(20m, 1m)",
        None,
        1,
        "every usual draw of this normal would be above 10m",
    ),
    ("distribution", "lognormal(400ms, 80ms)", None, 1, "lognormal takes a median above 0, then"),
    ("distribution", "percentiles(p50=1s, p50.0=1s)", None, 1, "each percentile stands once"),
    ("distribution", "percentiles(p0=1s)", None, 13, "percentiles takes p50=…, p95=…, min and max"),
    ("distribution", "pareto(0, 1)", None, 1, "pareto takes a minimum and a shape above 0"),
    ("distribution", "one_of()", None, 1, "one_of lacks its values"),
    ("profile", "hold 200/s, hold 50 users", None, 1, "only the last hold may go on without end"),
    (
        "profile",
        "hold 200/s 5s, hold 50 users",
        None,
        16,
        "one profile is all rates (200/s) or all",
    ),
    ("profile", "wave 50/s for 10s every 1s", None, 1, "wave takes a range such as 50..150/s"),
    ("profile", "steps 5..9/s for 10s", None, 1, "steps lacks 'count'"),
    ("profile", "hold for 10s", None, 6, "hold lacks its level"),
    ("objective", "p95(a=b) < 1s", None, 5, "p95 takes the names of flows, found 'a='"),
    ("address", "localhost", None, 1, "'localhost' has no port: write host:port, [v6]:port"),
    ("address", ":80", None, 1, "':80' has no host: write 127.0.0.1:80"),
    ("address", "::1:80", None, 1, "an IPv6 address stands in brackets: write [::1]:80"),
    ("address", "a:70000", None, 1, "a port is at most 65535, found 70000"),
    ("address", "/run/x.sock", None, 1, "'/run/x.sock' is not an address: write unix:/run/x.sock"),
    ("address", "http://a:80", None, 1, "'http://a:80' is a URL; write host:port"),
    ("address", "[::zz]:80", None, 1, "'[::zz]:80' is not an address: write host:port"),
]


@pytest.mark.parametrize(("type_", "text", "protocol", "canonical"), TYPED)
def test_typed_accepted(type_: str, text: str, protocol: str | None, canonical: str | None) -> None:
    if text.endswith(", "):
        text = canonical = text[:-2]
    value = read(type_, text, protocol, recipes=RECIPES)
    assert show(value) == (canonical or text)
    assert read(type_, show(value), protocol, recipes=RECIPES) == value
    again = read_json(type_, json.loads(json.dumps(to_json(value))), protocol, recipes=RECIPES)
    assert again == value or type_ in ("address", "endpoint")


@pytest.mark.parametrize(("type_", "text", "protocol", "column", "message"), TYPED_REJECTED)
def test_typed_rejected(
    type_: str, text: str, protocol: str | None, column: int, message: str
) -> None:
    without = {"on": "the section names the proxy"}
    with pytest.raises(LanguageError) as caught:
        read(type_, text, protocol, recipes=RECIPES, without=without)
    assert caught.value.message[: len(message)] == message
    assert caught.value.column == column


def test_the_picture_points_at_what_is_meant() -> None:
    with pytest.raises(LanguageError) as caught:
        read("faults", "\n  hang\n  delay dealy=2s\n")
    assert caught.value.picture() == "    delay dealy=2s\n          ^^^^^"
    assert caught.value.row == 3


def test_a_phrase_knows_where_its_parts_stood() -> None:
    faults = read("faults", "hang\n20% delay 2s at reply")
    error = faults[1].problem("not on tcp", "at")
    assert (error.row, error.column, error.text[error.at : error.end]) == (2, 17, "reply")
    error = read_json("fault", {"kind": "hang", "at": ["reply"]}).problem("not on tcp", "at")
    assert error.pointer == "/at"


def test_the_moments_are_those_of_the_wire() -> None:
    assert MOMENTS == WIRE_MOMENTS


def test_a_full_sentence_is_read_quickly() -> None:
    text = "20% delay(normal(800ms, 100ms)) match statement=SELECT and sql~^select for 20s name x"
    read("fault", text, "mysql")
    best = 1.0
    for _ in range(5):
        began = perf_counter()
        for _ in range(20):
            read("fault", text, "mysql")
        best = min(best, (perf_counter() - began) / 20)
    assert best < 0.0005
