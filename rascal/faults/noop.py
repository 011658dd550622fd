"""The fault that does nothing: it shows that a connection is asked, and counts it."""

from __future__ import annotations

from typing import Any, ClassVar

from rascal.faults.types import Act, Draw, Kind, Level, Pass
from rascal.options import Options
from rascal.wire.types import Moment


class Noop(Kind):
    """Nothing goes wrong."""

    name = "noop"
    datagrams = True
    summary = "Nothing goes wrong; connections are counted."
    faithful = (
        "It is no fault: bytes pass as if it were not there. It shows which connections a match, "
        "a share or a count would strike, before something real is put in its place."
    )
    levels: ClassVar[tuple[Level, ...]] = ("connection",)
    directional = True

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Pass()
