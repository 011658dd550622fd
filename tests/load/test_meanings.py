"""Every outcome and every measure is explained, and nothing else is."""

from __future__ import annotations

from rascal.language import profile
from rascal.load import meanings, types


def test_every_outcome_is_explained() -> None:
    assert tuple(meanings.OUTCOMES) == types.OUTCOMES
    assert all(text and not text.endswith(".") for text in meanings.OUTCOMES.values())


def test_every_measure_is_explained() -> None:
    assert set(meanings.MEASURES) == set(profile.MEASURES) - set(types.OUTCOMES)
