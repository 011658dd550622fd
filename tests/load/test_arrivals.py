"""Who starts what when: the same for any number of agents."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_profiles import profiles

from rascal.errors import ConfigErrors
from rascal.language import parse
from rascal.load.arrivals import Arrivals, Choice, Even, Membership, Poisson, keyed, masses_of
from rascal.load.draws import key_of
from rascal.load.plan import Spacing
from rascal.load.replay import Recorded, Replay, read_log
from rascal.load.schedule import Schedule

KEY = key_of(7, "share", 0)


def schedule(text: str) -> Schedule:
    return Schedule(parse("profile", text))


def taken(arrivals: Arrivals, upto: float = math.inf) -> list[tuple[int, float]]:
    found = []
    while arrivals.due < upto:
        found.append((arrivals.number, arrivals.due))
        arrivals.take()
    return found


def merged(
    text: str, agents: int, spacing: Spacing = "poisson", key: int = KEY
) -> list[tuple[int, float]]:
    members = tuple(range(agents))
    found = []
    for index in members:
        masses = masses_of(spacing, key)
        found += taken(Arrivals(schedule(text), masses, Membership(members), index))
    return sorted(found)


@given(profiles(), st.sampled_from(["poisson", "even"]), st.integers(0, 5))
def test_any_number_of_agents_offers_the_same(text: str, spacing: Spacing, seed: int) -> None:
    alone = merged(text, 1, spacing, seed)
    assert [number for number, _ in alone] == list(range(len(alone)))
    assert [due for _, due in alone] == sorted(due for _, due in alone)
    assert alone == merged(text, 2, spacing, seed) == merged(text, 3, spacing, seed)


def test_poisson_arrivals_are_as_many_and_as_scattered_as_they_should() -> None:
    seconds = Counter(int(due) for _, due in merged("hold 100/s for 400s", 1))
    counts = [seconds[second] for second in range(400)]
    mean = sum(counts) / 400
    variance = sum((count - mean) ** 2 for count in counts) / 399
    assert mean == pytest.approx(100, abs=2)  # 4 standard deviations
    assert variance / mean == pytest.approx(1, abs=0.3)
    alone = merged("hold 1000/s for 20s", 1)
    gaps = [later[1] - sooner[1] for sooner, later in pairwise(alone)]
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.015)
    assert sum(gap > 0.003 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-3), abs=0.008)


def test_the_process_is_pinned() -> None:
    masses = Poisson(1)
    found = [masses.mass(number) for number in (0, 1, 255, 256, 100_000)]
    assert found == pytest.approx(PINNED)
    assert Poisson(1).mass(100_000) == found[-1]
    assert masses.mass(0) == found[0]
    assert Poisson(2).mass(0) != found[0]


PINNED = [0.208054775103, 0.759383158047, 235.748878430823, 237.309220793995, 100254.710295221]


@given(st.integers(0, 3000), st.floats(0, 3000))
def test_first_finds_the_first_from_a_mass_on(start: int, mass: float) -> None:
    for masses in (Poisson(3), Even()):
        masses.mass(start)
        number = masses.first(mass)
        assert masses.mass(number) >= mass
        assert number == 0 or masses.mass(number - 1) < mass


def test_even_arrivals_are_exact_in_every_second() -> None:
    found = merged("hold 200/s for 3s, pause 1s, hold 3/s for 2s", 3, "even")
    seconds = Counter(int(due) for _, due in found)
    assert seconds == {0: 200, 1: 200, 2: 200, 4: 3, 5: 3}
    assert found[200] == (200, 1.0)
    assert found[600] == (600, 4.0)


@given(profiles(), profiles(), st.integers(0, 8), st.integers(0, 8), st.data())
def test_nothing_is_lost_or_doubled_by_changes_that_are_known_in_time(
    first: str, second: str, change: int, reshare: int, data: st.DataObject
) -> None:
    """Agents hear of a change of profile and one of members at any time before they hold."""
    changed = schedule(first).then(parse("profile", second), change)
    whole = taken(Arrivals(changed, Poisson(KEY), Membership((0,)), 0))
    found: list[tuple[int, float, int]] = []
    told = [
        (data.draw(st.floats(0, when)), what)
        for when, what in ((change, "change"), (reshare, "reshare"))
    ]
    for index in (0, 1, 2):
        members = Membership((0, 1))
        arrivals = Arrivals(schedule(first), Poisson(KEY), members, index)
        for when, what in sorted(told):
            found += [(*one, index) for one in taken(arrivals, when)]
            if what == "change":
                arrivals.refresh(changed)
            else:
                before = members.copy()
                members.change((1, 2, 0), reshare)
                assert arrivals.reshare(before, reshare, lambda: Poisson(KEY)) == 0
        found += [(*one, index) for one in taken(arrivals)]
    assert sorted((number, due) for number, due, _ in found) == whole
    limit = changed.mass(reshare)
    masses = Poisson(KEY)
    for number, _, index in sorted(found):
        owners = (0, 1) if masses.mass(number) < limit else (1, 2, 0)
        assert index == owners[number % len(owners)]


@given(st.floats(1, 4), st.integers(0, 4))
def test_what_became_ours_while_we_did_not_know_is_made_up_for(heard: float, second: int) -> None:
    text = "hold 50/s for 6s"
    members = Membership((0, 1, 2))
    arrivals = Arrivals(schedule(text), Poisson(KEY), members, 0)
    found = taken(arrivals, heard)
    before = members.copy()
    members.change((0, 1), second)
    late = arrivals.reshare(before, second, lambda: Poisson(KEY))
    rest = taken(arrivals)
    assert rest[:late] == sorted(rest[:late])
    everything = found + rest
    assert len({number for number, _ in everything}) == len(everything)
    wanted = {
        number
        for number, due in merged(text, 1)
        if (number % 2 == 0 if due >= second else number % 3 == 0)
    }
    kept = {number for number, due in found if due >= second and number % 2}  # done before
    assert {number for number, _ in everything} == wanted | kept


def test_an_agent_that_is_no_member_has_nothing() -> None:
    text = "hold 10/s for 5s"
    assert taken(Arrivals(schedule(text), Even(), Membership((1, 2)), 0)) == []
    members = Membership((1,))
    members.change((0,), 2)
    found = taken(Arrivals(schedule(text), Even(), members, 0))
    assert [number for number, _ in found] == list(range(20, 50))
    assert taken(Arrivals(schedule(text), Even(), Membership(()), 0)) == []


def test_draws_depend_on_key_and_number_alone() -> None:
    draws = [keyed(KEY, number) for number in range(10_000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.02)
    assert keyed(KEY, 77) == draws[77]
    assert keyed(KEY + 1, 77) != draws[77]


def test_scenarios_are_chosen_by_weight() -> None:
    choice = Choice([("a", 6), ("b", 3), ("c", 1)], KEY)
    arrivals = Counter(choice.of_arrival(number) for number in range(10_000))
    assert arrivals["a"] / 10_000 == pytest.approx(0.6, abs=0.02)
    assert arrivals["b"] / 10_000 == pytest.approx(0.3, abs=0.02)
    users = Counter(choice.of_user(number) for number in range(20))
    assert abs(users["a"] - 12) <= 1
    assert abs(users["b"] - 6) <= 1
    assert Choice([("a", 1)], KEY).of_arrival(5) == Choice([("a", 1)], KEY).of_user(5) == "a"


# ---- logs


def test_a_log_is_replayed_as_it_is() -> None:
    log = read_log(b"# seconds\n0.5\n\n1 buy\n1 look\n7.25  buy\r\n", "log", ("look", "buy"))
    replay = Replay(log)
    found = []
    for index in (0, 1):
        found += taken(Arrivals(replay, Recorded(log), Membership((0, 1)), index))
    assert sorted(found) == [(0, 0.5), (1, 1), (2, 1), (3, 7.25)]
    assert [log.scenario(number) for number in range(4)] == [None, "buy", "look", "buy"]
    assert replay.ends == pytest.approx(7.25)
    assert [replay.planned(second) for second in range(8)] == [1, 2, 0, 0, 0, 0, 0, 1]
    assert replay.level(1.9) == 2
    short = replay.until(1)
    assert taken(Arrivals(short, Recorded(log), Membership((0,)), 0)) == [(0, 0.5)]
    assert short.planned(1) == 0


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"1\nx 2\n", "log:2: 'x' is not a time: write seconds since the start of the run, such "
         "as 12.5, then maybe a blank and a scenario"),
        (b"1\n-2\n", "log:2: '-2' is not a time"),
        (b"nan\n", "log:1: 'nan' is not a time"),
        (b"2\n1.5\n", "log:2: 1.5 comes after 2: lines must be in order of time (sort -n)"),
        (b"1\n1700000000.5\n", "log:2: 1700000000.5 is not before the hard end of the run at 60 "
         "seconds: times are seconds since the start of the run"),
        (b"1 bye\n", "log:1: the log drives no scenario 'bye'; scenarios: look, buy. "
         "Did you mean 'buy'?"),
        (b"# nothing\n", "log: the arrival log is empty"),
        (b"\xff\xfe1\n", "log:1: '\\xff\\xfe1' is not a time"),
    ],
)  # fmt: skip
def test_a_wrong_log_is_told_line_by_line(data: bytes, wanted: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read_log(data, "log", ("look", "buy"), 60)
    assert str(caught.value).startswith(wanted)


def test_no_more_than_twenty_findings_are_told() -> None:
    with pytest.raises(ConfigErrors) as caught:
        read_log(b"x\n" * 1000, "log", ("look",))
    assert len(caught.value.findings) == 20
