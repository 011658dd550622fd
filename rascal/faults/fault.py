"""An installed fault: whether a match is struck, and the books that prove it.

    matched == fired + sum(skipped) + reserved          at every step

A match gets a number, whoever wins in the end; `skip`, `every`, `probability` and the kind's own
draws hang on that number alone. What is struck becomes a Strike:

    chosen ──fire──► fired ──done──► done
       └────done──► void            (it never struck: its place is given back, a reason counted)
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from rascal.faults.draw import draw, stream_key
from rascal.faults.types import Act

if TYPE_CHECKING:
    from rascal.faults.spec import FaultSpec, RouletteSpec, ScriptSpec
    from rascal.wire.types import Moment

HITS = 10_000
"""So many of the latest fired match numbers are remembered."""


class Strike:
    """A fault chosen for one exchange or one connection."""

    __slots__ = ("acts", "fault", "held", "holding", "n", "spec", "state", "step", "subject")

    def __init__(
        self, fault: Fault, subject: Any, n: int, spec: FaultSpec, acts: tuple[Act, ...], step: int
    ) -> None:
        self.fault = fault
        self.subject = subject
        self.n = n
        self.spec = spec
        self.acts = acts
        self.step = step
        self.held = 0
        self.holding = 0
        self.state: Literal["chosen", "fired", "done", "void"] = "chosen"

    @property
    def live(self) -> bool:
        """Still to strike, or striking."""
        return self.state in ("chosen", "fired")

    def fire(self) -> None:
        """It strikes now."""
        if self.state != "chosen":
            return
        self.state = "fired"
        fault = self.fault
        fault.reserved -= 1
        fault.fired += 1
        fault.used += 1
        fault.hits.append(self.n)
        self._says("used")
        self.subject.connection.struck(self)
        fault.check_used_up()

    def done(self, reason: str = "gone") -> None:
        """The end of it, whatever its state; one that never struck gives its place back."""
        fault = self.fault
        if self.state == "chosen":
            self.state = "void"
            fault.reserved -= 1
            fault.skipped[reason] += 1
            self._says(f"void ({reason})")
        elif self.state == "fired":
            self.state = "done"
        else:
            return
        fault.live.pop(self, None)
        self.subject.connection.strikes.discard(self)

    def _says(self, what: str) -> None:
        """Its step has come to this; a script that was replaced since has other steps."""
        fault, step = self.fault, self.step
        if 0 <= step < len(fault.steps) and fault.steps[step] is self.spec:
            fault.step_is(step, what)

    def release(self) -> None:
        """Let go what it holds, in order (a slot became free, a token came)."""
        self.done("released")
        self.subject.connection.pump()


class Fault:
    """One installed fault, script or roulette of one proxy, with its counters."""

    __slots__ = (
        "armed",
        "enabled_at",
        "expires",
        "fired",
        "hits",
        "key",
        "live",
        "matched",
        "missed",
        "name",
        "number",
        "on_change",
        "on_step",
        "reserved",
        "skipped",
        "spec",
        "state",
        "step_states",
        "steps",
        "total",
        "used",
    )

    def __init__(
        self, spec: Any, seed: int, proxy: str, on_change: Callable[[Fault], None]
    ) -> None:
        self.spec: FaultSpec | ScriptSpec | RouletteSpec = spec
        self.name: str = spec.name
        self.key = stream_key(seed, proxy, spec.name)
        self.on_change = on_change
        self.on_step: Callable[[Fault, int], None] | None = None
        self.armed = False
        self.enabled_at: float | None = None
        self.expires: Any = None
        self.number = 0
        self.used = 0
        self.matched = 0
        self.fired = 0
        self.reserved = 0
        self.skipped: Counter[str] = Counter()
        self.live: dict[Strike, None] = {}
        self.missed: dict[int, tuple[int, bool]] = {}
        self.hits: deque[int] = deque(maxlen=HITS)
        self.steps: tuple[Any, ...] = getattr(spec, "steps", ())
        self.step_states: list[str] = ["unused"] * len(self.steps)
        self.state: dict[int, Any] = {}
        self._states()

    def _states(self) -> None:
        self.state = {id(part): part.kind.state(part.options) for part in self.parts()}

    def parts(self) -> Iterable[FaultSpec]:
        """The single faults it is made of: itself, a script's steps, a roulette's choices."""
        spec: Any = self.spec
        if self.steps:
            return [step for step in self.steps if step is not None]
        return list(getattr(spec, "choices", ())) or [spec]

    @property
    def is_script(self) -> bool:
        return bool(self.steps)

    # -- life -------------------------------------------------------------------------------------
    def arm(self) -> None:
        """Enable: the used count starts anew, match numbers go on."""
        self.armed = True
        self.used = 0
        if self.is_script and self.number >= len(self.steps):
            self.restart()

    def restart(self) -> None:
        """Start match numbers, the used count and a script's steps from the beginning."""
        self._begin()
        self.armed = True

    def reseed(self, seed: int, proxy: str) -> None:
        """Draw from another stream, from its beginning; armed or not as before."""
        self.key = stream_key(seed, proxy, self.name)
        self._begin()

    def _begin(self) -> None:
        self.number = 0
        self.used = 0
        self.step_states = ["unused"] * len(self.steps)
        self._states()

    def reset_counters(self) -> None:
        """Counters to zero; match numbers and used counts go on."""
        self.fired = 0
        self.matched = self.reserved
        self.skipped.clear()
        self.hits.clear()

    def overlook(self, reason: str) -> None:
        """A match that could not be looked at."""
        self.number += 1
        self.matched += 1
        self.skipped[reason] += 1

    def effective(self) -> None:
        """A fault on the listening socket takes effect: attempts are invisible, so this counts."""
        self.number += 1
        self.matched += 1
        self.fired += 1
        self.used += 1

    @property
    def waiting(self) -> int:
        """Strikes that hold something at this moment."""
        return sum(strike.state == "fired" and strike.holding > 0 for strike in self.live)

    def replace(self, spec: Any) -> None:
        """Change it: concerns the next match, never a strike under way; nothing is redrawn."""
        self.spec = spec
        self.steps = getattr(spec, "steps", ())
        self.step_states = ["unused"] * len(self.steps)
        self._states()

    def renewed(self, strike: Strike) -> bool:
        """Let a strike on a connection want what the fault wants now, with the draws that it had;
        False: the fault does not concern it any more."""
        spec: Any = self.spec
        if not spec.match.matches(strike.subject):
            return False
        acts = self._acts(strike.n, spec, strike.subject)
        if isinstance(acts, str):
            return False
        strike.spec, strike.acts = spec, acts
        return True

    def passes(self, n: int) -> bool:
        """Whether its draw alone lets match `n` pass. Draws stay as they are when the fault is
        changed, so another probability moves only the line between those that it strikes and
        those that it does not."""
        spec: Any = self.spec
        if self.steps or getattr(spec, "choices", None):
            return False
        return self._choose(n, None) == "probability"

    def miss(self, connection: int, n: int, counted: bool) -> None:
        """Remember that this connection passes by its draw. `counted`: as skipped."""
        self.missed[connection] = (n, counted)

    def strike_late(self, subject: Any, n: int, counted: bool) -> Strike | None:
        """Strike a connection that had passed, under the number that it had, if that is a number
        to strike now."""
        spec: Any = self.spec
        if isinstance(self._choose(n, subject), str):
            return None
        if spec.count is not None and self.used + self.reserved >= spec.count:
            return None
        if not self.steps and isinstance(self._choose(n, subject), str):
            return None  # skip or every
        acts = self._acts(n, spec, subject)
        if isinstance(acts, str):
            return None
        if counted and self.skipped["probability"] > 0:
            self.skipped["probability"] -= 1
        else:  # it is asked once more, or its counters were set to zero
            self.matched += 1
        return self._strike(subject, n, spec, acts, -1)

    def check_used_up(self) -> None:
        """Disarm when its count is used up; its own strikes live on."""
        count = getattr(self.spec, "count", None)
        if self.armed and count is not None and self.used >= count:
            self.armed = False
            self.on_change(self)

    # -- the decision -----------------------------------------------------------------------------
    def pick(self, subject: Any, replies: bool, taken: set[Moment], blocked: bool) -> Strike | None:
        """Ask about one match. `taken` moments have a winner; `blocked`: a script has it."""
        n = self.number
        self.number += 1
        self.matched += 1
        chosen = self._choose(n, subject)
        if isinstance(chosen, str):
            self.skipped[chosen] += 1
            return None
        spec, step = chosen
        count = getattr(self.spec, "count", None)
        composes = spec.kind.composes
        if count is not None and self.used + self.reserved >= count:
            reason = "count"
        elif not replies and not composes:
            reason = "no_reply"
        elif blocked or (not composes and any(moment in taken for moment in spec.at)):
            reason = "outranked"
        else:
            acts = self._acts(n, spec, subject)
            if isinstance(acts, tuple):
                return self._strike(subject, n, spec, acts, step)
            reason = acts
        self.skipped[reason] += 1
        if step >= 0:
            self.step_is(step, f"void ({reason})")
        return None

    def _strike(
        self, subject: Any, n: int, spec: FaultSpec, acts: tuple[Act, ...], step: int
    ) -> Strike:
        strike = Strike(self, subject, n, spec, acts, step)
        self.reserved += 1
        self.live[strike] = None
        subject.connection.strikes.add(strike)
        return strike

    def _choose(self, n: int, subject: Any) -> tuple[FaultSpec, int] | str:
        """The single fault that match `n` would be struck with, or why none."""
        spec: Any = self.spec
        if self.steps:
            return self._step(n)
        if n < spec.skip:
            return "skip"
        if (n - spec.skip + 1) % spec.every:
            return "every"
        choices = getattr(spec, "choices", None)
        if choices:
            at = draw(self.key, n)
            for choice in choices:
                at -= choice.probability
                if at < 0:
                    # Its share of all that the roulette matches; what it does not match passes.
                    return (choice, -1) if choice.match.matches(subject) else "probability"
            return "probability"
        if spec.probability < 1.0 and draw(self.key, n) >= spec.probability:
            return "probability"
        return spec, -1

    def _step(self, n: int) -> tuple[FaultSpec, int] | str:
        if n >= len(self.steps):
            return "count"
        if n + 1 == len(self.steps):
            self.armed = False
            self.on_change(self)
        step = self.steps[n]
        if step is None:
            self.step_is(n, "used")
            return "pass"
        return step, n

    def step_is(self, n: int, what: str) -> None:
        """The step has come to this: used, or void and why."""
        self.step_states[n] = what
        if self.on_step is not None:
            self.on_step(self, n)

    def _acts(self, n: int, spec: FaultSpec, subject: Any) -> tuple[Act, ...] | str:
        state = self.state.get(id(spec))
        found: list[Act] = []
        for i, moment in enumerate(spec.at or ("connect",)):
            chance = partial(self._lane, n, 8 * i)
            act = spec.kind.act(spec.options, subject, moment, chance, state)
            if isinstance(act, str):
                return act
            found.append(act)
        return tuple(found)

    def _lane(self, n: int, base: int, lane: int) -> float:
        return draw(self.key, n, (base + lane) & 255)
