"""Verdicts in words, expectations and exit codes, and how long is long enough."""

from __future__ import annotations

import re

import attrs
import pytest
from simulated import SYSTEMS, World

from rascal.errors import ConfigError
from rascal.experiment.expectation import Expectation, read_expectation
from rascal.experiment.judge import VERDICTS, Verdict, judge
from rascal.experiment.power import Lengths, advice, enough, power
from rascal.experiment.record import Record, Thresholds
from rascal.experiment.words import sentence

SEED = 7919 * 2 + 17


def found(name: str, rate: float = 50) -> tuple[Verdict, Record]:
    make, wanted = SYSTEMS[name]
    record = make(World(rate, SEED))
    verdict = judge(record)
    if verdict.word == "stuck":
        record = make(World(rate, SEED, probe=True))
        verdict = judge(record)
    assert verdict.name == wanted
    return verdict, record


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("absorbs it", r"Nobody would have noticed: every flow kept at least \d+\.\d% of"),
        ("150 ms more", r"every call was served, but \d+% of those of orders took over twice"),
        ("fast 503", r"orders kept \d%, \d+% of its failures were quick and explicit, the others"),
        ("hangs", r"came back after \d+ s, but failed badly: \d+ of \d+ failures were hangs"),
        ("shared lock", r"spread: (browse|export|thin).* does not use db, and yet lost 1\d% of"),
        ("queue and 3 attempts", r"orders is stuck: 44 s after db/fault ended it keeps \d+% of"),
        ("two thirds of capacity gone", r"orders does not carry its old load any more"),
        ("dead", r"orders does not come back, even with almost no load"),
        ("charged twice", r"The data is wrong: 'charged once' held before the fault and does not"),
        ("wrong data", r"The data is wrong: \d+ replies were wrong"),
        ("never fired", r"^This run proves nothing: db/fault never fired\.$"),
    ],
)
def test_each_verdict_has_its_sentence(name: str, pattern: str) -> None:
    text = sentence(*found(name))
    assert re.search(pattern, text), text
    assert "None" not in text and "  " not in text and text.endswith(".")


def test_an_unsure_verdict_says_what_would_settle_it() -> None:
    make, _ = SYSTEMS["stale cache"]
    for seed in range(60):
        record = make(World(20, seed))
        verdict = judge(record)
        if not verdict.sure:
            text = sentence(verdict, record)
            assert re.search(r"This run cannot tell \w+ from \w+: .* from [\d,]+ calls\.", text)
            assert re.search(r"\d+ s more of baseline and \d+ s more of fault would", text)
            return
    pytest.fail("no seed was unsure")


def test_without_a_map_cascading_is_not_looked_for() -> None:
    _, record = found("shared lock")
    flows = tuple(attrs.evolve(flow, uses=None) for flow in record.flows)
    record = attrs.evolve(record, flows=flows)
    verdict = judge(record)
    assert verdict.word != "cascading"
    assert "is not known" in sentence(verdict, record)


# ---- expectations


def verdict(word: str, *others: str, kind: str = "") -> Verdict:
    return Verdict(word=word, kind=kind, between=(word, *others))


@pytest.mark.parametrize(
    ("expected", "given", "status"),
    [
        ("graceful", verdict("graceful"), 0),
        ("graceful", verdict("resilient"), 0),
        ("graceful", verdict("degraded"), 1),
        ("graceful", verdict("graceful", "resilient"), 0),
        ("graceful", verdict("degraded", "graceful"), 3),
        ("graceful", verdict("invalid"), 3),
        ("exactly invalid", verdict("invalid"), 0),
        ("exactly graceful", verdict("resilient"), 1),
        ("exactly graceful", verdict("graceful", "resilient"), 3),
        ("exactly metastable", verdict("stuck", kind="metastable"), 0),
        ("exactly metastable", verdict("stuck", kind="broken"), 1),
        ("metastable", verdict("stuck", kind="broken"), 0),
        ("exactly stuck", verdict("stuck", kind="overloaded"), 0),
        ("stuck", verdict("stuck", kind="not probed"), 0),
        ("stuck", verdict("corrupt"), 1),
        ("cascading", verdict("stuck", kind="metastable"), 1),
    ],
)
def test_exit_codes(expected: str, given: Verdict, status: int) -> None:
    assert read_expectation(expected).status(given) == status


def test_lenient_takes_the_word_alone() -> None:
    assert Expectation("graceful").status(verdict("graceful", "degraded"), lenient=True) == 0
    assert Expectation("graceful").status(verdict("degraded", "graceful"), lenient=True) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gracefull", "Did you mean 'graceful'?"),
        ("exactly", "'' is no verdict"),
        ("invalid", "write 'exactly invalid'"),
    ],
)
def test_what_cannot_be_expected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_expectation(text)
    assert message in str(caught.value)


def test_better_verdicts_meet_more() -> None:
    met = [
        sum(Expectation(word).status(verdict(given)) == 0 for word in VERDICTS[1:])
        for given in VERDICTS
    ]
    assert met == [0, 1, 2, 3, 4, 5, 6]


# ---- how long is long enough


def test_more_calls_prove_more() -> None:
    limits = Thresholds()
    short = power("orders", 10, Lengths(baseline=20, fault=15, recovery=45), limits, groups=3)
    long = power("orders", 50, Lengths(baseline=20, fault=15, recovery=45), limits)
    assert short.calls == {"baseline": 200, "fault": 150, "tail": 150}
    assert (short.sure_kept, long.sure_kept) == (False, True)
    assert 0.05 < long.sees < short.sees < 0.3


def test_advice_is_enough() -> None:
    limits = Thresholds()
    for rate in (2.0, 5.0, 10.0, 200.0):
        needed = enough(rate, limits, groups=3)
        assert needed
        assert power("x", rate, needed, limits, groups=3).sure_kept
    assert enough(0, limits) is None
    weak = power("orders", 10, Lengths(baseline=20, fault=15, recovery=45), limits, groups=3)
    text = advice(weak, 10, limits, groups=3)
    assert text.startswith("orders: 10/s × 15s = 150 calls during the fault; ")
    assert "or the rate" in text
    tail = power("orders", 10, Lengths(baseline=30, fault=30, recovery=60), limits, groups=5)
    text = advice(tail, 10, limits, groups=5)
    assert text.startswith("orders: 10/s gives 200 calls at the end of the recovery; ")
    assert text.endswith("Make the recovery 84s")
