"""Scenarios: what the decorator takes, and how an iteration ends."""

from __future__ import annotations

import pytest
from worlds import Town, total

from rascal.errors import ConfigError, ConfigErrors
from rascal.load import scenario
from rascal.load.book import load_bundle


def findings(source: str, **files: bytes) -> list[str]:
    with pytest.raises(ConfigErrors) as found:
        load_bundle({"shop.py": source.encode(), **files}, "shop.py")
    return [str(finding) for finding in found.value.findings]


def test_what_is_declared_is_what_a_scenario_holds() -> None:
    town = Town(
        '@scenario("buy", weight=2, think="1s..3s", pace="10s", deadline="1m30s", tags=["money"])\n'
        "async def purchase(user): pass\n"
        "@scenario\n"
        "def look(user): pass\n"
    )
    buy, look = town.book.scenarios.values()
    assert (buy.name, buy.weight, buy.deadline, buy.tags) == ("buy", 2.0, 90.0, ("money",))
    assert buy.think is not None and buy.think.mean() == 2.0
    assert buy.pace is not None and buy.pace.mean() == 10.0
    assert (look.name, look.weight, look.think, look.deadline) == ("look", 1.0, None, None)


def test_outside_a_book_a_mistake_is_raised_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"test_scenario.py:\d+: think of scenario 'a': '5' has"):

        @scenario("a", think="5")
        async def run(user: object) -> None: ...


def test_all_mistakes_of_a_file_come_together_with_their_lines() -> None:
    found = findings(
        "from rascal.load import scenario\n"
        "@scenario('a', think='fast')\n"
        "async def a(user): pass\n"
        "@scenario('a')\n"
        "async def b(user): pass\n"
        "@scenario('c d')\n"
        "async def c(user): pass\n"
        "@scenario('d', weight=0, deadline='0s')\n"
        "async def d(): pass\n"
        "@scenario('e')\n"
        "async def e(user): yield 1\n"
    )
    starts = [text.partition(";")[0] for text in found]
    assert starts[0].startswith("shop.py:2: think of scenario 'a': ")
    assert "shop.py:4: there are two scenarios 'a'" in starts
    assert any(text.startswith("shop.py:6: 'c d' cannot name a scenario") for text in starts)
    assert any(text.startswith("shop.py:8: scenario 'd': weight is a number") for text in starts)
    assert "shop.py:8: deadline of scenario 'd' must be above 0" in starts
    assert any(text.startswith("shop.py:8: scenario 'd' must take the user") for text in starts)
    assert any(text.startswith("shop.py:10: scenario 'e' yields") for text in starts)


def test_picks_follow_the_weights() -> None:
    town = Town(
        '@scenario("a", weight=8)\nasync def a(user): pass\n'
        '@scenario("b", weight=2)\nasync def b(user): pass\n'
        '@scenario("c", weight=90)\nasync def c(user): pass\n'
    )
    names = [town.book.pick(("a", "b"), n / 1000).name for n in range(1000)]
    assert names == ["a"] * 800 + ["b"] * 200
    assert town.book.pick(("c",), 0.999).name == "c"


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ("async def a(user): await user.get('/')", ("served", "")),
        ("def a(user): return user.get('/')", ("served", "")),
        ("def a(user): pass", ("served", "")),
        (
            "async def a(user):\n    page = await user.get('/')\n    assert page.code == 201",
            ("check_failed", "shop.py:5: assert page.code == 201"),
        ),
        (
            "async def a(user):\n    assert 1 > 2, 'sums\\nare wrong'",
            ("check_failed", "shop.py:4: sums"),
        ),
        ("def a(user):\n    assert not user", ("check_failed", "shop.py:4: assert not user")),
        (
            "async def a(user):\n    {}['price']",
            ("check_failed", "shop.py:4: KeyError: 'price'"),
        ),
        ("async def a(user):\n    await user.get('/reset')", ("reset", "as told")),
        (
            "async def a(user):\n    raise SystemExit(3)",
            ("check_failed", "shop.py:4: SystemExit: 3"),
        ),
    ],
)
def test_every_end_has_its_outcome(body: str, ended: tuple[str, str]) -> None:
    town = Town(
        f"@scenario('a')\n{body}\n",
        lambda method, url: (0.01, "reset" if url == "/reset" else 200, b"{}"),
    )
    assert town.run(town.user()) == ended
    assert town.clock.getDelayedCalls() == []


def test_an_error_in_user_code_is_told_once_with_its_lines() -> None:
    town = Town("def deep(n):\n    return 1 / n\n@scenario('a')\nasync def a(user):\n    deep(0)\n")
    for number in range(5):
        town.run(town.user(number))
    (event,) = town.report().events
    assert event.kind == "error"
    assert event.text == "shop.py:3: ZeroDivisionError: division by zero (in scenario 'a')"
    assert event.data["traceback"] == [
        "shop.py:6 in a: deep(0)",
        "shop.py:3 in deep: return 1 / n",
    ]


def test_an_assert_is_no_error_event() -> None:
    town = Town("@scenario('a')\nasync def a(user): assert False\n")
    town.run(town.user())
    assert town.report().events == []


def test_the_deadline_cancels_what_is_under_way() -> None:
    town = Town(
        "@scenario('a', deadline='2s')\nasync def a(user): await user.get('/slow')\n",
        lambda method, url: (30.0, 200, b""),
    )
    assert town.run(town.user()) == ("timeout", "not done within its deadline of 2s")
    assert town.clock.seconds() == pytest.approx(1002.0, abs=0.02)
    assert total(town.report(), "/slow").outcomes == {"timeout": 1}
    assert town.clock.getDelayedCalls() == [] and town.recorder.in_flight == 0


def test_code_that_catches_everything_is_ended_all_the_same() -> None:
    town = Town(
        "@scenario('a', deadline='2s')\n"
        "async def a(user):\n"
        "    while True:\n"
        "        try:\n"
        "            await user.sleep(1.5)\n"
        "        except Exception:\n"
        "            user.log('again')\n"
    )
    assert town.run(town.user())[0] == "timeout"
    assert [event.text for event in town.report().events] == ["a-0: again"]
    assert town.clock.getDelayedCalls() == []


def test_a_deadline_that_is_kept_leaves_no_timer() -> None:
    town = Town("@scenario('a', deadline='2s')\nasync def a(user): await user.sleep(1.9)\n")
    assert town.run(town.user()) == ("served", "")
    assert town.clock.getDelayedCalls() == []


def test_cancelled_from_outside_it_is_a_timeout_at_once() -> None:
    town = Town("@scenario('a')\nasync def a(user): await user.get('/')\n")
    user, ended = town.user(), []
    running = user.scenario.iterate(user).addCallback(ended.append)
    running.cancel()
    assert ended == [("timeout", "cancelled")]
    assert total(town.report(), "/").outcomes == {"timeout": 1}


def test_cancelled_by_its_own_code_it_ends_at_its_next_wait() -> None:
    town = Town(
        "@scenario('a')\nasync def a(user):\n"
        "    await user.sleep(1)\n    user.memo['stop']()\n    await user.sleep(50)\n"
    )
    user, ended = town.user(), []
    running = user.scenario.iterate(user).addCallback(ended.append)
    user.memo["stop"] = running.cancel
    town.clock.advance(1)
    assert ended == [("timeout", "cancelled")]
    town.clock.advance(0)
    assert town.clock.getDelayedCalls() == []


def test_one_scenario_may_use_another() -> None:
    town = Town(
        "@scenario('a')\nasync def a(user): await user.get('/a')\n"
        "@scenario('b')\nasync def b(user): await a(user)\n"
    )
    town.run(town.user(0, "b"))
    assert [url for _, _, url in town.asked] == ["/a"]
