"""What the profiles of a run ask for, with changes, stops, users and arrival logs."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from rascal.errors import ConfigErrors
from rascal.language import parse
from rascal.load.offered import Offer
from rascal.load.plan import Plan, Share


def share(profile: str = "", name: str = "look", **given: Any) -> Share:
    return Share(scenarios=(name,), profile=parse("profile", profile) if profile else (), **given)


def offer(*shares: Share, files: dict[str, bytes] | None = None, **given: Any) -> Offer:
    return Offer(Plan(file="", shares=shares, target="", **given), files or {})


def test_two_profiles_add_up() -> None:
    found = offer(
        share("ramp 0..10/s for 10s, hold 10/s for 10s"), share("hold 5 users for 5s", "buy")
    )
    assert found.ends == 20.0
    assert found.open()
    assert found.level(5.0) == (5.0, 0.0)
    assert found.level(2.0) == (2.0, 5.0)
    assert found.level(-1.0) == found.level(20.0) == (0.0, 0.0)
    expected, chance = found.expected(20.0)
    assert expected == pytest.approx(150.0)
    assert chance == pytest.approx(4 * math.sqrt(150))
    assert found.planned(15) == 10.0
    assert found.planned(20) == 0.0


def test_even_arrivals_leave_nothing_to_chance() -> None:
    assert offer(share("hold 10/s for 3s", spacing="even")).expected(3.0) == (30.0, 0.0)


def test_users_alone_expect_no_arrivals() -> None:
    found = offer(share("hold 5 users for 5s"))
    assert not found.open()
    assert found.expected(5.0) == (0.0, 0.0)


def test_a_stop_ends_what_is_expected() -> None:
    found = offer(share("hold 10/s for 30s"))
    found.stop(4.0)
    found.stop(9.0)
    assert found.ends == 4.0
    assert found.expected(30.0)[0] == 40.0
    assert found.planned(4) == 0.0


def test_the_hard_end_of_a_profile_without_end() -> None:
    assert offer(share("hold 10/s"), max_time=60.0).ends == 60.0


def test_a_change_leaves_the_other_shares_alone() -> None:
    shares = (share("hold 10/s for 9s"), share("hold 1/s for 9s", "buy"))
    found = offer(*shares)
    found.change(
        (shares[0], attrs.evolve(shares[1], profile=parse("profile", "hold 3/s for 4s"))), 5
    )
    assert found.ends == 9.0
    assert found.planned(4) == 11.0
    assert found.planned(5) == 13.0
    assert found.expected(9.0)[0] == pytest.approx(90 + 5 + 12)


def test_an_arrival_log() -> None:
    log = b"0.5\n0.6\n2.5\n"
    found = offer(share(replay="a.log"), files={"a.log": log})
    assert [found.planned(second) for second in range(4)] == [2.0, 0.0, 1.0, 0.0]
    assert found.expected(3.0) == (3.0, 0.0)
    assert found.expected(0.55) == (1.0, 0.0)
    with pytest.raises(ConfigErrors, match=r"there is no arrival log 'a\.log'"):
        offer(share(replay="a.log"))
    with pytest.raises(ConfigErrors, match=r"a\.log:2"):
        offer(share(replay="a.log"), files={"a.log": b"1\nx\n"})
