"""Stop rules on runs that go on: they see what has ended, not what will."""

from collections.abc import Callable, Iterator

import pytest
from recording import call

from rascal.language import parse
from rascal.load.measures import StopRules
from rascal.load.recorder import Recorder
from rascal.load.results import Results
from rascal.load.types import Meters

Offer = Callable[[int], list[tuple[str, float, str]]]


def play(rule: str, offer: Offer, seconds: int, timeout: float = 10.0) -> int | None:
    """The second after which the rule stops the run; calls are recorded when they end.

    `offer` gives the calls of a second: flow, seconds they take, outcome.
    """
    rules = StopRules([parse("objective", rule)], timeout)
    for second, results in running(offer, seconds):
        if rules.check(results) is not None:
            return second
    return None


def running(offer: Offer, seconds: int) -> Iterator[tuple[int, Results]]:
    recorder, results = Recorder("17", "one"), Results("17", ["one"])
    under_way = []
    for second in range(seconds):
        calls = offer(second)
        for number, (flow, took, outcome) in enumerate(calls):
            under_way.append(call(recorder, flow, second + number / len(calls), took, outcome))
        for one in [one for one in under_way if one.ended < second + 1]:
            under_way.remove(one)
            recorder.done(one)
        results.add(recorder.report(second, Meters()))
        yield second, results


def healthy(second: int) -> list[tuple[str, float, str]]:
    return [("cart", 0.05, "served")] * 20


def test_no_rules_never_stop() -> None:
    rules = StopRules([])
    assert all(rules.check(results) is None for _, results in running(healthy, 3))


def test_a_healthy_run_goes_on() -> None:
    for rule in ("failed > 80% for 3s", "p95 > 1s for 3s", "goodput < 10/s for 3s"):
        assert play(rule, healthy, 40) is None


def test_quick_failures_stop_at_once() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "refused" if second >= 5 else "served")] * 20

    assert play("failed > 80% for 4s", offer, 40) == 8
    assert play("failed > 80%", offer, 40) == 5
    assert play("refused(cart) > 80% for 4s", offer, 40) == 8
    assert play("timeout > 80% for 4s", offer, 40) is None


def test_the_rule_that_held_is_given() -> None:
    texts = ("reset > 5% for 2s", "failed > 50% for 2s", "tls > 50% for 2s")
    rules = [parse("objective", text) for text in texts]
    stops = StopRules(rules)
    found = [stops.check(results) for _, results in running(lambda _: [("a", 0.01, "tls")] * 9, 3)]
    assert found == [None, rules[1], rules[1]]


def test_a_latency_rule_holds_where_nobody_is_served_but_not_before_that_is_sure() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "reset")] * 2 + [("cart", 1.5, "served")] * 18

    assert play("p95 > 5s", offer, 20) is None
    assert play("p95 > 5s", lambda _: [("cart", 0.01, "reset")] * 20, 20) == 0


def test_an_end_of_the_load_is_no_finding() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return healthy(second) if second < 10 else []

    assert play("goodput < 10/s for 3s", offer, 30) is None
    rules = StopRules([parse("objective", "offered < 10/s for 2s")])
    ramp: Offer = lambda second: healthy(second)[: 20 - 2 * second]  # noqa: E731
    found = [rules.check(results, last=5) for _, results in running(ramp, 9)]
    assert found == [None] * 9
    rules = StopRules([parse("objective", "offered < 10/s for 2s")])
    assert any(rules.check(results) for _, results in running(ramp, 9))


def test_slow_successes_are_not_taken_for_missing() -> None:
    """Of each second, the few quick failures are known seconds before the slow successes."""

    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "http_5xx")] * 2 + [("cart", 6.0, "served")] * 18

    for rule in ("failed > 50% for 3s", "http_5xx > 50% for 3s", "goodput < 10/s for 3s"):
        assert play(rule, offer, 40) is None
    assert play("failed > 5% for 3s", offer, 40) is not None


def test_a_system_that_hangs_is_stopped_when_its_timeouts_come() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 9.9, "timeout") if second >= 5 else ("cart", 0.05, "served")] * 20

    found = play("failed > 80% for 5s", offer, 60)
    assert found is not None
    assert 5 + 9 + 5 <= found <= 5 + 10 + 5 + 2
    assert play("goodput < 10/s for 5s", offer, 60) is not None


def test_calls_that_hang_are_not_yet_failures() -> None:
    """Half of the calls hang, the others are served: nothing is known of the half."""

    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.05, "served")] * 10 + [("cart", 100.0, "timeout")] * 10

    assert play("failed > 20% for 3s", offer, 20) is None


def test_another_flow_that_is_slow_does_not_hide_a_failing_one() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("pay", 0.01, "reset")] * 20 + [("report", 8.0, "served")] * 20

    found = play("failed(pay) > 60% for 4s", offer, 60)
    assert found is not None and found <= 15


def test_latency_rules_see_what_has_been_served() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 2.5 if second >= 5 else 0.05, "served")] * 20

    found = play("p95(cart) > 2s for 4s", offer, 40)
    assert found == 10  # the fourth slow second began at 8; its first calls ended after 10.5


def test_a_rule_for_good_numbers_waits_until_they_are_settled() -> None:
    """`<` on a latency can be true of the quick calls alone."""

    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "served")] * 5 + [("cart", 3.0, "served")] * 15

    assert play("p50 < 100ms for 3s", offer, 40) is None
    assert play("p50 < 100ms for 3s", lambda _: [("cart", 0.01, "served")] * 9, 40) is not None


def test_windows_and_seconds_on_end() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "reset" if second % 2 else "served")] * 10

    assert play("failed > 80% for 2s", offer, 40) is None
    assert play("failed > 45% over 10s", offer, 40) == 9
    assert play("failed > 45% over 2s for 5s", offer, 40) == 5


def test_a_rule_may_want_long() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "reset")]

    assert play("failed > 80% for 5m", offer, 320) == 299


def test_late_answers_are_dishonest() -> None:
    rules = StopRules([parse("objective", "dishonest > 60% for 3s")])
    found = []

    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.7 if second >= 5 else 0.01, "served")] * 20

    for second, results in running(offer, 20):
        results.deadlines["cart"] = 0.2
        if rules.check(results) is not None:
            found.append(second)
    assert found and found[0] in (7, 8)
    assert play("dishonest > 60% for 3s", offer, 20) is None  # derived: half a second and more


def test_one_failed_call_is_no_trend() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "reset")] if second == 3 else []

    assert play("failed > 80% for 10s", offer, 60) is None

    def more(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "reset")] if second % 5 == 3 else []

    assert play("failed > 80% for 10s", more, 60) == 12


def test_rules_on_the_client_itself() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 100.0, "served")] * 5

    assert play("in_flight > 20 for 3s", offer, 40) == 6
    assert play("lateness > 1s for 3s", offer, 40) is None


def test_a_rule_of_an_unknown_flow_waits_for_it() -> None:
    def offer(second: int) -> list[tuple[str, float, str]]:
        return [("cart", 0.01, "served")] * 5 + [("pay", 0.01, "reset")] * (5 if second > 9 else 0)

    assert play("failed(pay) > 80% for 3s", offer, 40) == 12
    assert play("failed(nothing) > 80% for 3s", offer, 40) is None


@pytest.mark.parametrize("lost_at", [4, 8])
def test_calls_of_a_lost_agent_do_not_hold_a_rule_back_for_ever(lost_at: int) -> None:
    """Its calls never end; after a time-out they are no longer waited for."""
    recorders = {name: Recorder("17", name) for name in ("a", "b")}
    results = Results("17", recorders)
    rules = StopRules([parse("objective", "failed > 60% for 5s")], 10.0)
    stopped = None
    for second in range(60):
        for name, recorder in recorders.items():
            if name == "b" and second >= lost_at:
                results.leave("b")
                continue
            for _ in range(20):
                if name == "b":
                    recorder.begin()  # it hangs
                else:
                    recorder.done(call(recorder, "cart", second + 0.1, outcome="reset"))
            results.add(recorder.report(second, Meters()))
        if rules.check(results) is not None:
            stopped = second
            break
    assert stopped is not None and stopped <= lost_at + 5
