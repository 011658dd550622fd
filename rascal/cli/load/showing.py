"""Shows a run while it goes on: redrawn in place on a terminal, a line a second elsewhere.

The process that shows may be the one that sends the load, so nothing here may keep it: looks are
taken in steps of a millisecond, and a thread of its own formats and writes. A terminal that is
stopped (ctrl-S) or a pipe that nobody reads holds up that thread, and only the newest look waits.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from rascal.cli.load.look import History, Look
from rascal.cli.load.view import lines_of, plain_line
from rascal.cli.output import say
from rascal.cli.screen import InPlace
from rascal.load.types import Event
from rascal.report.words import clock_text

if TYPE_CHECKING:
    from rascal.load.running import Snapshot

PATIENCE = 2.0
"""Seconds for which the last lines may take to be written."""
LOUD = (
    "agent_lost",
    "agent_back",
    "agent_joined",
    "redistributed",
    "reports_lost",
    "coordinator_lost",
    "stopping",
    "changed",
    "stop_rule",
    "limit",
    "note",
    "error",
)
"""Events that are shown as they happen."""
TOLD = 5
"""Events that stay on the screen."""
HINT = "ctrl-C ends it and reports, twice at once"


class Shown:
    """Draws looks and events. Its methods but `open` are called by one thread, the writer's."""

    def __init__(self, title: str, hint: str = HINT) -> None:
        self.title = title
        self.hint = hint

    @contextmanager
    def open(self) -> Iterator[None]:
        """Around everything."""
        yield

    def show(self, look: Look) -> None:
        """The newest look."""

    def tell(self, text: str) -> None:
        """Something that happened."""

    def finish(self) -> None:
        """Nothing follows."""


class OnTerminal(Shown):
    """Redrawn in place; what happened last stands above the hint."""

    told = TOLD

    def __init__(self, title: str, hint: str = HINT) -> None:
        super().__init__(title, hint)
        self._place = InPlace()
        self._told: deque[str] = deque(maxlen=self.told)
        self._look: Any = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Without a cursor."""
        with self._place.open():
            yield

    def lines(self, look: Any, columns: int, hint: str) -> list[str]:
        """What is drawn of a look, the hint last."""
        return lines_of(look, self.title, columns, hint)

    def show(self, look: Any) -> None:
        """All of it anew."""
        self._look = look
        columns = shutil.get_terminal_size().columns
        lines = self.lines(look, columns, click.style(self.hint, dim=True))
        if self._told:
            lines[-1:-1] = [*self._told, ""]
        self._place.draw(lines)

    def tell(self, text: str) -> None:
        """Below the tables."""
        self._told.append(text)
        if self._look is not None:
            self.show(self._look)
        else:
            self._place.draw([click.style(self.title, bold=True), *self._told])

    def finish(self) -> None:
        """The report takes the place of the view."""
        self._place.draw([])


class AsLines(Shown):
    """A line a second, and one for each event."""

    def show(self, look: Look) -> None:
        """One line."""
        say(plain_line(look))
        sys.stdout.flush()

    def tell(self, text: str) -> None:
        """To standard error."""
        say(f"{time.strftime('%H:%M:%S')}  {text}", err=True)


class Quiet(AsLines):
    """Events only."""

    def show(self, look: Look) -> None:
        """Nothing."""


class Writer:
    """The thread that writes. Of looks only the newest waits; events all do, within a bound."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._ready = threading.Condition()
        self._look: Look | None = None
        self._texts: deque[str] = deque(maxlen=1000)
        self._ended = self._looked = False
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Around the run; at the end all is written, or given up."""
        with ExitStack() as stack:
            stack.enter_context(self._shown.open())
            self._thread.start()
            try:
                yield
            finally:
                with self._ready:
                    self._ended = True
                    self._ready.notify()
                self._thread.join(PATIENCE)

    def show(self, look: Look) -> None:
        """Show it soon."""
        with self._ready:
            self._look = look
            self._looked = True
            self._ready.notify()

    def tell(self, text: str) -> None:
        """Say it soon."""
        with self._ready:
            self._texts.append(text)
            self._ready.notify()

    def tell_before_looks(self, text: str) -> None:
        """Say it unless there is something to look at already."""
        if text and not self._looked:
            self.tell(text)

    def _run(self) -> None:
        try:
            while self._step():
                pass
            self._shown.finish()
        except OSError:  # nobody reads any more: the run goes on without
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _step(self) -> bool:
        with self._ready:
            while not (self._texts or self._look or self._ended):
                self._ready.wait()
            texts, look, ended = list(self._texts), self._look, self._ended
            self._texts.clear()
            self._look = None
        for text in texts:
            self._shown.tell(text)
        if look is not None:
            self._shown.show(look)
        return not ended or bool(texts or look)


class Looks:
    """Takes looks in steps of a millisecond each, and hands them to the writer."""

    def __init__(self, writer: Writer, later: Callable[..., Any]) -> None:
        self._writer = writer
        self._later = later
        self._busy = False

    def take(self, begin: Callable[[], Any]) -> None:
        """Take one; while another is being taken it is not disturbed."""
        if not self._busy:
            self._busy = True
            self._step(begin())

    def _step(self, steps: Any) -> None:
        try:
            next(steps)
        except StopIteration as done:
            self._busy = False
            self._writer.show(done.value)
        except BaseException:
            self._busy = False
            raise
        else:
            self._later(0.001, self._step, steps)


class Watching:
    """A Listener of a run: hands looks and events to the writer.

    Args:
        writer: the thread that writes.
        later: `reactor.callLater`.
        began: called with the run's id and its control, before agents prepare.
        started: called with the run's id when load starts.
    """

    def __init__(
        self,
        writer: Writer,
        later: Callable[..., Any],
        began: Callable[[str, Any], None] = lambda run, control: None,
        started: Callable[[str], None] = lambda run: None,
    ) -> None:
        self._writer = writer
        self._looks = Looks(writer, later)
        self._began = began
        self._started = started
        self._run = ""
        self._history = History()

    def began(self, run: str, control: Any) -> None:
        """It has its id."""
        self._run = run
        self._began(run, control)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take a look."""
        self._looks.take(lambda: self._history.steps(snapshot))

    def event(self, event: Event) -> None:
        """Say it, if it is worth it."""
        if event.kind == "started":
            self._started(self._run)
        if event.kind in LOUD:
            self._writer.tell(event_text(event))


def event_text(event: Event) -> str:
    """`0:12  agent b is lost (no report for 5 s)`."""
    text = event.text or event.kind.replace("_", " ")
    return f"{clock_text(event.second)}  {text}"


def shown_for(title: str, *, quiet: bool, json_: bool, hint: str = HINT) -> Shown:
    """What suits the output."""
    if quiet or json_:
        return Quiet(title, hint)
    return OnTerminal(title, hint) if sys.stdout.isatty() else AsLines(title, hint)
