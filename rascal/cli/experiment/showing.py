"""Shows an experiment while it goes on: redrawn in place on a terminal, a line a second elsewhere.

As in `rascal load run` this process may be the one that sends the load: looks are taken in steps
of a millisecond, and the writer's own thread formats and writes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rascal.cli.experiment.look import Looking
from rascal.cli.experiment.view import lines_of, plain_line
from rascal.cli.load import showing as load
from rascal.cli.load.showing import LOUD, AsLines, Looks, Quiet, Shown, Writer, event_text
from rascal.cli.output import say

if TYPE_CHECKING:
    from rascal.experiment.conductor import Conductor
    from rascal.experiment.recording import Kept
    from rascal.load.running import Snapshot
    from rascal.load.types import Event

HINT = "ctrl-C ends it: faults are removed; twice at once"
TOLD = 6
OURS = (*LOUD, "fault_on", "fault_off", "fault_removed", "phase")
"""Events that are shown as they happen."""
KNOWN = ("changed",)
"""Events that a phase has told already."""


class OnTerminal(load.OnTerminal):
    """The same with an experiment's lines."""

    told = TOLD

    def lines(self, look: Any, columns: int, hint: str) -> list[str]:
        return lines_of(look, self.title, columns, hint)


class Lines(AsLines):
    """A line a second, and one for each event."""

    def show(self, look: Any) -> None:
        """One line."""
        say(plain_line(look))
        sys.stdout.flush()


def shown_for(title: str, *, quiet: bool, json_: bool) -> Shown:
    """What suits the output."""
    if quiet or json_:
        return Quiet(title, HINT)
    return OnTerminal(title, HINT) if sys.stdout.isatty() else Lines(title, HINT)


class Watching:
    """A Watcher of an experiment: hands looks and events to the writer.

    Args:
        writer: the thread that writes.
        looking: takes the looks.
        later: `reactor.callLater`.
        began: called with the run's id and its control, before agents prepare.
        started: called with the run's id when load starts.
        chatty: tell of phases too, not only of trouble.
    """

    def __init__(
        self,
        writer: Writer,
        looking: Looking,
        later: Callable[..., Any],
        began: Callable[[str, Any], None] = lambda run, control: None,
        started: Callable[[str], None] = lambda run: None,
        chatty: bool = True,
    ) -> None:
        self._writer = writer
        self._looking = looking
        self._looks = Looks(writer, later)
        self._began = began
        self._started = started
        self._run = ""
        self._second = 0
        self._chatty = chatty

    def began(self, run: str, control: Any) -> None:
        """It has its id."""
        self._run = run
        self._began(run, control)

    def conducts(self, conductor: Conductor, kept: Kept) -> None:
        """The faults are installed."""
        self._looking.conductor, self._looking.kept = conductor, kept

    def state(self, state: str, text: str) -> None:
        """Another phase, or something is waited for."""
        self._looking.entered(state, text, self._second)
        if self._chatty and state in ("preparing", "ending"):
            self._writer.tell(f"{state}: {text}")

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take a look."""
        self._second = snapshot.second
        self._looks.take(lambda: self._looking.steps(snapshot))

    def event(self, event: Event) -> None:
        """Say it, if it is worth it."""
        if event.kind == "started":
            self._started(self._run)
        if event.kind in KNOWN:
            return
        if not self._chatty and "uses" in event.data:
            return  # what was learned is no trouble
        if event.kind in (OURS if self._chatty else LOUD):
            self._writer.tell(event_text(event))
