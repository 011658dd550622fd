"""An agent whose clock is not known well enough is refused before a run, with the reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs

from rascal.load.beats import Beat
from rascal.load.members import CLOCK, Enlisting


def beat(**more: Any) -> Beat:
    usual: dict[str, Any] = {"float": 0.0, "int": 0, "str": "", "bool": False}
    needed = {
        one.name: usual.get(str(one.type), "")
        for one in attrs.fields(Beat)
        if one.default is attrs.NOTHING
    }
    return Beat(**{**needed, "state": "idle", **more})


def test_a_clock_that_is_not_known_well_enough() -> None:
    link: Any = SimpleNamespace(names=())
    enlisting = Enlisting(link)
    assert enlisting._unusable(beat(clock_error=CLOCK)) == ""
    why = enlisting._unusable(beat(clock_error=0.25))
    assert why == "its clock is known to 250 ms only: Redis is slow for it"
    assert enlisting._unusable(beat(clock_error=0.25, problem="it has another token")) == (
        "it has another token"
    )
