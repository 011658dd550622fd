"""The same experiment several times: how often each verdict, and what that proves. Pure.

Near an edge outcomes are chance: one unchanged configuration was stuck in 95 of 200 runs. So each
verdict's proportion has an interval, and an expectation is met if even the lower end of "as
expected or better" reaches a share. Runs that prove nothing stand apart; each is repeated once.
"""

from __future__ import annotations

from typing import Any

import attrs

from rascal.experiment.expectation import INVALID, RANK, STATUS, Expectation
from rascal.experiment.judge import Verdict
from rascal.experiment.statistics import NO, UNSURE, YES, Value, wilson

SURE = 1.959963984540054
"""z of a two-sided interval of 95 %."""
AT_LEAST = 0.7
LONGEST = 1000
"""Repeats at most."""


@attrs.frozen(kw_only=True)
class Proportion:
    """How often something came out."""

    word: str
    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Of all runs that prove something."""
        return self.count / self.of if self.of else 0.0

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return {**attrs.asdict(self), "share": self.share}


@attrs.frozen(kw_only=True)
class Repeat:
    """One run of them."""

    run: str
    seed: int
    word: str
    """The named verdict, or what kind of stuck it is."""
    right: bool
    """As expected or better, by the named verdict, and every objective kept."""
    sure: bool
    counts: bool
    """It proves something: it is not invalid, or that is what was expected."""
    sentence: str = ""


@attrs.define
class Repeats:
    """All runs so far, and what they say together."""

    wanted: int
    expect: Expectation | None = None
    at_least: float = AT_LEAST
    seed: int = 0
    runs: list[Repeat] = attrs.Factory(list)
    _second: bool = False
    """The run under way repeats an invalid one."""
    _slots: int = 0

    def add(
        self,
        run: str,
        seed: int,
        verdict: Verdict | None,
        sentence: str = "",
        *,
        objectives: bool = True,
    ) -> Repeat:
        """One run has ended: with a verdict, or before it could have one, which is invalid.

        `objectives`: all were kept.
        """
        expect = self.expect
        met = verdict is not None and (
            expect is None or expect.met_by(verdict, lenient=True) == "yes"
        )
        proves = verdict is not None and verdict.word != "invalid"
        found = Repeat(
            run=run,
            seed=seed,
            word=verdict.name if verdict is not None else "invalid",
            right=met and objectives,
            sure=verdict is None or verdict.sure,
            counts=proves or (expect is not None and expect.exactly and met),
            sentence=sentence,
        )
        self.runs.append(found)
        if not found.counts and not self._second:
            self._second = True
        else:
            self._second = False
            self._slots += 1
        return found

    @property
    def counted(self) -> list[Repeat]:
        """Runs that prove something."""
        return [one for one in self.runs if one.counts]

    @property
    def invalid(self) -> list[Repeat]:
        """The others."""
        return [one for one in self.runs if not one.counts]

    @property
    def right(self) -> int:
        """Runs as expected or better."""
        return sum(one.right for one in self.counted)

    @property
    def left(self) -> int:
        """Runs that may still come; the repetition of an invalid one is one of them."""
        return self.wanted - self._slots

    @property
    def place(self) -> str:
        """`2 of 20`: which run comes next."""
        return f"{self._slots + 1} of {self.wanted}" + (", again" if self._second else "")

    @property
    def next_seed(self) -> int:
        """Another for each run."""
        return self.seed + len(self.runs)

    @property
    def answer(self) -> Value:
        """Whether the expectation is met, as far as is known."""
        return _answer(self.right, len(self.counted), self.at_least)

    @property
    def settled(self) -> bool:
        """It is a yes or a no, and no run that may still come can change that."""
        if self.expect is None:
            return False
        n, left = len(self.counted), self.left
        # An invalid run drops out, so fewer may come than are wanted: all wrong, or all right.
        possible = {
            _answer(self.right + more, n + came, self.at_least)
            for came in range(left + 1)
            for more in (0, came)
        }
        return possible in ({YES}, {NO})

    @property
    def over(self) -> bool:
        """No more runs are needed."""
        return self.left <= 0 or self.settled

    @property
    def proportions(self) -> tuple[Proportion, ...]:
        """Each verdict that came out, the worst first."""
        words = [one.word for one in self.counted]
        order = sorted(set(words), key=lambda word: (RANK.get(word, 2), word))
        return tuple(_proportion(word, words.count(word), len(words)) for word in order)

    @property
    def as_expected(self) -> Proportion:
        """As expected or better."""
        return _proportion("as expected or better", self.right, len(self.counted))

    @property
    def status(self) -> int:
        """The exit code: 0 met, 1 not met, 3 cannot tell."""
        if not self.counted:
            return INVALID
        if self.expect is None:
            return 0 if self.right == len(self.counted) else 1
        return STATUS[self.answer]

    def sentence(self) -> str:
        """What they say together."""
        n = len(self.counted)
        if not n:
            return f"None of {len(self.runs)} runs proves anything."
        every = self.proportions
        if len(every) == 1:
            one = every[0]
            text = f"{one.word} in {one.count} of {n}: at least {one.low:.0%} of all runs"
        else:
            found = ", ".join(f"{one.word} in {one.count} of {n}" for one in every)
            text = f"Near an edge: {found}"
        if self.expect is None:
            return f"{text}."
        proved = self.as_expected
        shares = f"{proved.low:.0%} to {proved.high:.0%} of all runs are"
        said = {
            YES: f"{shares} as expected or better, wanted are {self.at_least:.0%}",
            NO: f"{shares} as expected or better, wanted are at least {self.at_least:.0%}",
            UNSURE: f"{shares} as expected or better: that does not tell whether it is "
            f"{self.at_least:.0%}",
        }
        return f"{text}. {said[self.answer]}."

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "wanted": self.wanted,
            "at_least": self.at_least,
            "expect": str(self.expect or ""),
            "answer": self.answer if self.expect is not None else None,
            "status": self.status,
            "sentence": self.sentence(),
            "as_expected": self.as_expected.json(),
            "verdicts": [one.json() for one in self.proportions],
            "unsure": sum(not one.sure for one in self.counted),
            "runs": [attrs.asdict(one) for one in self.runs],
        }


def needed(at_least: float) -> int:
    """The fewest runs that can reach that share, if all are right."""
    n = 1
    while n <= LONGEST and wilson(n, n, SURE)[0] < at_least:
        n += 1
    return n


def _answer(right: int, n: int, at_least: float) -> Value:
    low, high = wilson(right, n, SURE)
    return YES if n and low >= at_least else NO if n and high < at_least else UNSURE


def _proportion(word: str, count: int, n: int) -> Proportion:
    low, high = wilson(count, n, SURE)
    return Proportion(word=word, count=count, of=n, low=low, high=high)
