"""Recipes and the files of the language's description, read with the real protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rascal.config import load
from rascal.config.registry import installed
from rascal.errors import ConfigErrors
from rascal.faults.build import build_recipe, recipes, tables
from rascal.faults.recipes import RECIPES
from rascal.language import LanguageError, parse
from rascal.wire import protocols

WANTED = {
    "overloaded-database",
    "database-failover",
    "commit-lost",
    "cold-cache",
    "cache-down",
    "queue-vanishes",
    "queue-full",
    "flaky-peer",
    "slow-peer",
    "rate-limited-peer",
}
PAIRS = [(name, protocol) for name, recipe in RECIPES.items() for protocol in recipe.parts]


def build(text: str, protocol: str, name: str = "r") -> tuple[Any, ...]:
    found = protocols()[protocol]
    read = parse(
        "fault",
        f"recipe {text}",
        kinds=tables(found),
        fields=found.fields,
        protocol=protocol,
        recipes=recipes(),
    )
    return build_recipe(read, found, name)


def test_the_recipes_that_are_asked_for() -> None:
    assert set(RECIPES) >= WANTED
    assert set(recipes()) == set(RECIPES)


@pytest.mark.parametrize(("name", "protocol"), PAIRS)
def test_every_recipe_builds_on_its_protocols(name: str, protocol: str) -> None:
    built = build(name, protocol, "incident")
    assert built
    assert len({spec.name for spec in built}) == len(built)
    assert all(spec.name.startswith("incident.") for spec in built)
    for spec in built:  # what is shown is what can be written
        found = protocols()[protocol]
        assert parse("fault", spec.text, kinds=tables(found), fields=found.fields)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_describes_itself(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    assert recipe.summary.endswith(".")
    assert recipe.imitates.endswith(".")
    assert all(option.help for option in recipe.options.values())
    for option in recipe.options:
        assert any(f"{{{option}}}" in text for parts in recipe.parts.values() for _, text in parts)


def test_options_fill_the_sentences() -> None:
    built = build("overloaded-database strength=40% delay=1s..3s connections=7", "mysql")
    assert [spec.text for spec in built] == [
        "delay(1s..3s)",
        "40% error(lock_wait) match statement=INSERT,UPDATE,DELETE,REPLACE",
        "max_connections(7, error=too_many_connections)",
    ]


def test_an_unset_option_leaves_its_part_out() -> None:
    assert [spec.text for spec in build("slow-peer delay=1s", "tcp")] == ["delay(1s)"]
    assert [spec.text for spec in build("slow-peer rate=10KB/s", "tcp")] == [
        "delay(lognormal(300ms, 1.5s))",
        "throttle(10KB/s) direction to_client",
    ]


def test_the_clause_for_ends_every_part() -> None:
    assert {spec.lasts for spec in build("slow-peer rate=1KB/s for 60s", "redis")} == {60}
    stages = {spec.name: spec.lasts for spec in build("database-failover for 8s", "redis")}
    assert stages == {"r.cut": 5, "r.refuse": 5, "r.read-only": 8}


def test_a_recipe_on_another_protocol_names_its_own() -> None:
    with pytest.raises(LanguageError, match="recipe 'cold-cache' is for memcached, redis, not tcp"):
        build("cold-cache", "tcp")


EXAMPLE = """\
# One shop, four dependencies. Try it: rascal check proxies.ini
[rascal]
control = 127.0.0.1:8474
seed = 42

[proxy:db]
protocol = mysql
listen = 127.0.0.1:3307
upstream = ${DB_HOST}:3306
# one fault a line; each has its own draw
faults =
    20% delay(normal(800ms, 100ms)) match statement=SELECT name slow-selects
    lose_reply(then=reset) match statement=COMMIT count 1 enabled no name lost-commit

[proxy:cache]
protocol = memcached
listen = 127.0.0.1:11212
upstream = 127.0.0.1:11211

[proxy:jobs]
protocol = redis
listen = 127.0.0.1:6380
upstream = unix:/run/redis.sock

[proxy:payment]
protocol = http
listen = 127.0.0.1:8081
upstream = payment.internal:80
# one draw for each request: at most one of these strikes it
roulette = 10% delay(2s), 5% error(503, retry_after=2s)

# the long form of a fault: a section, with one clause or option a line
[fault:cache/cold]
kind = empty
match = key^=session:,cart:
for = 20s
enabled = no

[script:db/checkout-trouble]
match = statement=UPDATE,COMMIT
enabled = no
steps =
    pass 2
    error(deadlock)
    lose_reply(then=reset)
"""
"""language.md, section 10."""


def read(folder: Path, text: str) -> Any:
    path = folder / "proxies.ini"
    path.write_text(text)
    return load(str(path), {"DB_HOST": "db.example"}, registry=installed())


def test_the_file_of_a_new_user_loads(tmp_path: Path) -> None:
    found = read(tmp_path, EXAMPLE)
    db, cache, payment = (found.proxies[name] for name in ("db", "cache", "payment"))
    slow, lost = db.faults
    assert (slow.name, slow.probability, slow.at) == ("slow-selects", 0.2, ("request",))
    assert (lost.count, lost.enabled, lost.at) == (1, False, ("reply",))
    (cold,) = cache.faults
    assert (cold.kind.name, cold.lasts, cold.enabled) == ("empty", 20, False)
    (script,) = db.scripts
    assert [step and step.kind.name for step in script.steps] == [
        None,
        None,
        "error",
        "lose_reply",
    ]
    assert not script.enabled
    (wheel,) = payment.roulettes
    assert [choice.probability for choice in wheel.choices] == [0.1, 0.05]


SENTENCES = [  # language.md, section 9
    ("mysql", "error(deadlock) match statement=INSERT and sql~orders every 3 count 2"),
    ("mysql", "lose_reply(then=reset) match statement=COMMIT count 1"),
    ("memcached", "empty match key^=session: for 20s"),
    (
        "http",
        "30% error(503, retry_after=2s) match method=POST and path=/charge "
        "and header.X-Tenant=acme",
    ),
    ("redis", "lose_reply(then=close) match command=LPUSH count 1"),
    ("tcp", "delay(percentiles(p50=20ms, p95=180ms, p99=1.2s))"),
    ("http", "delay(normal(80ms, 20ms)) at request,reply"),
    ("tcp", "idle_kill(60s, then=silent)"),
    ("mysql", "max_connections(20, error=too_many_connections)"),
    ("redis", "hang match key~[05]$"),
    ("mysql", "stale(2s) match statement=SELECT and in_transaction=no"),
    ("mysql", "error(read_only) match statement=INSERT,UPDATE,DELETE for 15s"),
    ("tcp", "throttle(10Mbit/s) direction to_client"),
    ("mysql", "truncate(rows=10, then=reset) match statement=SELECT"),
    ("http", "hang match n=3"),
]


def test_what_people_say_can_be_written(tmp_path: Path) -> None:
    by_protocol: dict[str, list[str]] = {}
    for protocol, text in SENTENCES:
        by_protocol.setdefault(protocol, []).append(text)
    text = "".join(
        f"[proxy:{protocol}]\nprotocol = {protocol}\nlisten = 127.0.0.1:{port}\n"
        f"upstream = 127.0.0.1:1\nfaults =\n" + "".join(f"    {line}\n" for line in lines) + "\n"
        for port, (protocol, lines) in enumerate(by_protocol.items(), 4000)
    )
    found = read(tmp_path, text)
    assert sum(len(proxy.faults) for proxy in found.proxies.values()) == len(SENTENCES)


def test_what_only_a_builder_sees_is_found_in_the_file(tmp_path: Path) -> None:
    text = EXAMPLE.replace("error(deadlock)", "error(dedlock)").replace(
        "kind = empty\nmatch = key^=session:,cart:", "kind = throttle\nrate = 1KB/s\nmatch = key=a"
    )
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, text)
    found = [str(finding) for finding in caught.value.findings]
    assert len(found) == 2
    lines = text.split("\n")
    (deadlock,) = (line for line in found if "dedlock" in line)
    (match,) = (line for line in found if "throttle" in line)
    assert f"proxies.ini:{lines.index('    error(dedlock)') + 1}:" in deadlock
    assert "Did you mean 'deadlock'?" in deadlock
    assert f"proxies.ini:{lines.index('match = key=a') + 1}:" in match
