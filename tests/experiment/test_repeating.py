"""Several runs of one experiment: proportions, what they prove, when to stop, what is left out."""

from __future__ import annotations

import pytest

from rascal.experiment.expectation import read_expectation
from rascal.experiment.judge import Verdict
from rascal.experiment.repeating import Repeats, needed


def verdict(word: str, *between: str) -> Verdict:
    kinds = ("metastable", "overloaded", "broken")
    kind = word if word in kinds else ""
    return Verdict(word="stuck" if kind else word, kind=kind, between=between or (word,))


def repeats(wanted: int, expect: str | None = "graceful", at_least: float = 0.7) -> Repeats:
    expected = read_expectation(expect) if expect else None
    return Repeats(wanted=wanted, expect=expected, at_least=at_least, seed=10)


def feed(found: Repeats, *words: str) -> Repeats:
    """One run after the other, as long as runs are wanted."""
    for number, word in enumerate(words):
        assert not found.over, f"{number} runs were enough"
        found.add(str(number + 1), found.next_seed, verdict(word))
    return found


@pytest.mark.parametrize(("n", "low"), [(5, 0.57), (10, 0.72), (20, 0.84), (30, 0.89), (60, 0.94)])
def test_what_so_many_right_ones_prove(n: int, low: float) -> None:
    found = repeats(n, at_least=0.999)
    for number in range(n):
        found.add(str(number), number, verdict("graceful"))
    assert found.as_expected.low == pytest.approx(low, abs=0.006)
    assert found.as_expected.high == pytest.approx(1.0)


def test_nineteen_of_twenty_prove_three_quarters() -> None:
    found = repeats(20, at_least=0.76)
    for number in range(20):
        found.add(str(number), number, verdict("graceful" if number else "degraded"))
    assert round(found.as_expected.low, 2) == 0.76


def test_how_many_are_needed() -> None:
    assert (needed(0.5), needed(0.57), needed(0.7), needed(0.84)) == (4, 6, 9, 21)
    # What the table of verdict lengths says, rounded: 20 of 20 prove 84 %.
    assert needed(0.838) == 20


def test_seeds_differ() -> None:
    found = feed(repeats(3, None), "graceful", "graceful", "degraded")
    assert [one.seed for one in found.runs] == [10, 11, 12]


def test_it_stops_when_the_answer_is_yes_whatever_comes() -> None:
    found = repeats(10, at_least=0.5)
    while not found.over:
        found.add("1", 1, verdict("resilient"))
    assert found.settled
    # 8 of 10 would still prove 49 %, 9 of 10 prove 60 %.
    assert len(found.runs) == 9
    assert (found.answer, found.status) == ("yes", 0)


def test_it_stops_when_the_answer_is_no_whatever_comes() -> None:
    found = repeats(20)
    while not found.over:
        found.add("1", 1, verdict("degraded"))
    assert found.settled and found.left > 0
    assert (found.answer, found.status) == ("no", 1)


def test_it_goes_on_while_the_answer_can_change() -> None:
    found = feed(repeats(20), *["graceful"] * 12)
    assert found.answer == "yes"  # so far
    assert not found.settled  # eight wrong ones would change it


def test_too_few_cannot_tell() -> None:
    found = feed(repeats(5), *["graceful"] * 5)
    assert (found.answer, found.status) == ("unsure", 3)
    assert "57% to 100% of all runs" in found.sentence()


def test_mixed_verdicts_are_the_finding() -> None:
    found = feed(repeats(4, None), "metastable", "degraded", "degraded", "resilient")
    text = found.sentence()
    assert text == "Near an edge: metastable in 1 of 4, degraded in 2 of 4, resilient in 1 of 4."
    assert [one.word for one in found.proportions] == ["metastable", "degraded", "resilient"]
    assert found.proportions[1].share == 0.5
    assert found.proportions[1].low < 0.2 and found.proportions[1].high > 0.8


def test_invalid_runs_stand_apart_and_are_repeated_once() -> None:
    found = repeats(2, None)
    feed(found, "invalid")
    assert found.place == "1 of 2, again"
    feed(found, "graceful")
    assert (found.left, found.place) == (1, "2 of 2")
    feed(found, "invalid")
    assert (found.left, found.place) == (1, "2 of 2, again")
    feed(found, "invalid")
    assert found.over
    assert [len(found.counted), len(found.invalid)] == [1, 3]
    assert [one.word for one in found.proportions] == ["graceful"]


def test_a_run_that_could_not_be_judged_is_invalid() -> None:
    found = repeats(1)
    one = found.add("1", 1, None, "It was ended: agent b is lost.")
    assert (one.word, one.counts, found.left) == ("invalid", False, 1)


def test_nothing_but_invalid_runs_prove_nothing() -> None:
    found = feed(repeats(1), "invalid", "invalid")
    assert found.over
    assert found.status == 3
    assert found.sentence() == "None of 2 runs proves anything."


def test_invalid_counts_if_it_is_what_was_expected() -> None:
    found = feed(repeats(4, "exactly invalid", 0.4), "invalid", "invalid", "invalid")
    assert not found.invalid
    assert found.right == 3


def test_the_named_verdict_counts_and_unsure_ones_are_told() -> None:
    found = repeats(1)
    found.add("1", 1, verdict("graceful", "degraded", "graceful"))
    assert (found.right, found.json()["unsure"]) == (1, 1)


def test_an_objective_that_was_not_kept_is_not_as_expected() -> None:
    found = repeats(1, None)
    found.add("1", 1, verdict("resilient"), objectives=False)
    assert (found.right, found.status) == (0, 1)


def test_json_has_all_of_it() -> None:
    found = feed(repeats(3, "graceful", 0.1), "graceful", "degraded", "graceful").json()
    assert found["verdicts"][0]["word"] == "degraded"
    assert found["as_expected"]["count"] == 2
    assert found["answer"] == "yes"
    assert [one["run"] for one in found["runs"]] == ["1", "2", "3"]
