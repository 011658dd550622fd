"""What a reload has to do, and what it leaves alone; and the text that loads back to the same."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from rascal.config import Configuration, Registry, difference, export, load, summary
from rascal.errors import ConfigErrors

Load = Callable[..., Configuration]

BASE = """\
[rascal]
seed = 1
[proxy:db]
protocol = mysql
listen = 127.0.0.1:1
upstream = 127.0.0.1:3306
faults =
    hang name a
    delay 2s name b
[proxy:cache]
protocol = redis
listen = 127.0.0.1:2
upstream = 127.0.0.1:6379
"""


def test_the_same_file_changes_nothing(read: Load) -> None:
    spelled = BASE.replace("delay 2s", "delay(2000ms)").replace("seed = 1", "seed = 1\n# hm")
    changes = difference(read(BASE), read(spelled))
    assert not changes
    assert changes.summary() == "no change"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("delay 2s name b", "delay 3s name b", "db (~b)"),
        ("delay 2s name b", "delay 2s name b enabled no", "db (~b)"),
        ("delay 2s name b", "delay 2s name c", "db (+c, -b)"),
        ("hang name a\n    delay 2s name b", "delay 2s name b\n    hang name a", "db (order)"),
        ("127.0.0.1:1", "127.0.0.1:9", "db (listener)"),
        ("127.0.0.1:1\n", "127.0.0.1:1, 127.0.0.1:9\n", "db (listener)"),
        ("127.0.0.1:1\n", "127.0.0.1:1\nenabled = no\n", "db (listener)"),
        ("127.0.0.1:1\n", "127.0.0.1:1\nenabled = yes\n", "no change"),
        (":3306", ":3307", "db (upstream)"),
        (":3306", ":3306\nconnect_timeout = 1s", "db (connect_timeout)"),
        (":3306", ":3306\nconnect_timeout = 10s", "no change"),
        (":3306", ":3306\nnegotiate = no", "db (negotiate)"),
        ("mysql", "http", "db (negotiate, protocol, ~a, ~b)"),
        ("seed = 1", "seed = 2", "[rascal] seed"),
        ("proxy:cache", "proxy:jobs", "+jobs, -cache"),
    ],
)
def test_what_changed(read: Load, before: str, after: str, words: str) -> None:
    changes = difference(read(BASE), read(BASE.replace(before, after, 1)))
    found = changes.summary()
    assert sorted(found.replace("(", "(, ").split(", ")) == sorted(
        words.replace("(", "(, ").split(", ")
    )
    assert bool(changes) == (words != "no change")


def test_a_change_of_faults_alone_touches_no_listener(read: Load) -> None:
    changes = difference(read(BASE), read(BASE.replace("2s", "3s")))
    (change,) = changes.changed
    assert (change.name, change.only_faults, change.listener) == ("db", True, False)
    assert [one.name for one in change.changed] == ["b"]
    assert (change.added, change.removed, change.reordered) == ((), (), False)


def test_a_script_that_changed(read: Load) -> None:
    text = BASE + "[script:db/s]\nmatch = n=1\nsteps = pass, hang\n"
    for other in ("n=2", "n=1\nenabled = no"):
        (change,) = difference(read(text), read(text.replace("n=1", other))).changed
        assert [one.name for one in change.changed] == ["s"]


FULL = '''\
[rascal]
control = 0.0.0.0:8474
hosts = a.example, b.example
compatible = off
tokens =
    admin hush
[proxy:db]
listen = [::1]:1, unix:/tmp/db.sock
protocol = mysql
upstream = tcp:host=db:port=1
tls = originate
tls_name = it is "here"
tls_ca = '"x"'
connect_timeout = 1500ms
negotiate = no
roulette = 10% delay(2s), 5% error(503, text="a, ""b""")
faults =
    error(x, text="$${HOME} a") match sql~${X} at request name first
    hang enabled no
    recipe cold-cache strength=20% for 60s
    hang
[fault:db/long]
kind = error
error = with (all) of it
text = "  kept "
at = request,reply
match = statement=INSERT and sql~"(a, b)"
probability = 12.5%
on_remove = close
enabled = no
[script:db/s]
enabled = no
match = statement=UPDATE
steps = pass 2, error(deadlock) count 3
[roulette:db/other]
faults = 50% hang
enabled = no
[fault:db/last]
kind = hang
'''


def test_export_loads_back_to_the_same(read: Load) -> None:
    found = read(FULL, {"X": "^a{2}$"})
    text = export(found)
    again = read(text)
    assert again == found
    assert export(again) == text
    assert not difference(found, again)
    assert [one.name for one in again.proxies["db"].installed] == [
        one.name for one in found.proxies["db"].installed
    ]
    assert summary(again) == ("1 proxy, 5 faults (3 armed), 2 roulettes, 1 script, 1 recipe")
    assert "admin sha256:" in text
    assert "hush" not in text


def test_export_without_secrets(read: Load) -> None:
    text = export(read(FULL, {"X": "a"}), secrets=False)
    assert "hush" not in text
    assert "# tokens: admin; not shown here" in text


def test_export_of_what_was_changed_while_running(read: Load, registry: Registry) -> None:
    found = read(BASE)
    db = found.proxies["db"]
    late = read(BASE.replace("hang name a", "recipe cold-cache name r")).proxies["db"].installed[0]
    script = read(BASE + "[script:db/s]\nsteps = pass").proxies["db"].installed[-1]
    off = attrs.evolve(db.installed[0], enabled=False)
    db = attrs.evolve(db, installed=(off, script, db.installed[1], late))
    again = read(export(attrs.evolve(found, proxies={**found.proxies, "db": db})))
    names = [(one.form, one.name, one.enabled) for one in again.proxies["db"].installed]
    assert names == [
        ("fault", "a", False),
        ("script", "s", True),
        ("fault", "b", True),
        ("recipe", "r", True),
    ]


def test_export_of_a_recipe_that_is_disabled(read: Load) -> None:
    found = read(BASE.replace("hang name a", "recipe cold-cache strength=20% for 1m name r"))
    db = found.proxies["db"]
    off = attrs.evolve(db.installed[0], enabled=False)
    db = attrs.evolve(db, installed=(off, *db.installed[1:]))
    text = export(attrs.evolve(found, proxies={**found.proxies, "db": db}))
    assert "[recipe:db/r]\nrecipe = cold-cache\nstrength = 20%\nfor = 1m\nenabled = no" in text
    assert read(text).proxies["db"] == db
    wrong = text.replace("strength = 20%", "strenth = 20%")
    with pytest.raises(ConfigErrors, match="Did you mean 'strength'"):
        read(wrong)


def test_nothing_at_all(read: Load, registry: Registry) -> None:
    empty = read("")
    assert export(empty) == "\n"
    assert load("proxies.ini", {}, registry=registry).proxies == {}
    assert summary(empty) == "0 proxies"
