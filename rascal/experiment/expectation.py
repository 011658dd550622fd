"""What a user expects of an experiment, and whether the verdict met it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from rascal.errors import ConfigError, did_you_mean
from rascal.experiment.judge import STUCK, VERDICTS, Verdict

WORDS = (*VERDICTS, *STUCK)
RANK = {word: rank for rank, word in enumerate(VERDICTS)} | dict.fromkeys(STUCK, 2)
"""From worst to best; broken, overloaded and metastable are all stuck."""

Met = Literal["yes", "no", "unsure"]
STATUS: dict[Met, int] = {"yes": 0, "no": 1, "unsure": 3}
INVALID = 3


@attrs.frozen
class Expectation:
    """`graceful` (that or anything better) or `exactly cascading`."""

    word: str
    exactly: bool = False

    def __str__(self) -> str:
        return f"exactly {self.word}" if self.exactly else self.word

    def met_by(self, verdict: Verdict, *, lenient: bool = False) -> Met:
        """Whether all, none or some of the verdicts that are possible meet it."""
        words = (verdict.word,) if lenient else verdict.between
        return self._met({word if word != "stuck" else verdict.name for word in words})

    def _met(self, words: Iterable[str]) -> Met:
        answers = {self._meets(word) for word in words}
        if len(answers) > 1:
            return "unsure"
        return "yes" if answers == {True} else "no"

    def _meets(self, word: str) -> bool:
        if self.exactly:
            return word == self.word or (self.word == "stuck" and word in (*STUCK, "not probed"))
        if word == "invalid":
            return False
        return RANK.get(word, RANK["stuck"]) >= RANK[self.word]

    def status(self, verdict: Verdict, *, lenient: bool = False) -> int:
        """The exit code: 0 as expected or better, 1 worse, 3 invalid or cannot tell."""
        met = self.met_by(verdict, lenient=lenient)
        if verdict.word == "invalid" and met != "yes":
            return INVALID
        return STATUS[met]


def read_expectation(text: str) -> Expectation:
    """Read `graceful` or `exactly cascading`.

    Raises:
        ConfigError: it is neither.
    """
    words = text.split()
    exactly = words[:1] == ["exactly"]
    word = " ".join(words[1:] if exactly else words)
    if word not in WORDS:
        raise ConfigError(
            f"'{word}' is no verdict; verdicts, worst first: {', '.join(VERDICTS)}; of stuck also "
            f"{', '.join(STUCK)}; 'exactly' before it means that one alone."
            f"{did_you_mean(word, WORDS)}",
            option="expect",
            value=text,
            allowed=WORDS,
        )
    if word == "invalid" and not exactly:
        raise ConfigError(
            "every run is at least that: write 'exactly invalid' for one that must prove nothing",
            option="expect",
            value=text,
        )
    return Expectation(word, exactly)
