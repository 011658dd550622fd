"""What can be said of a run so far, and at its end: phases, verdict, measures with their limits.

While an experiment goes on, `rascal.experiment.sofar` says which verdict it looks like; the judge
itself speaks once the run has been judged, from what was recorded. Of a load run the objectives
are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rascal.errors import RascalError
from rascal.experiment.reading import experiment_of
from rascal.experiment.recording import KEY, Kept
from rascal.experiment.sofar import Now, SoFar
from rascal.experiment.timeline import timeline_of
from rascal.load.measures import objective_states
from rascal.load.plan import Plan
from rascal.load.results import Results
from rascal.load.types import Event
from rascal.panel.lanes import Lanes

EVERY = 5.0
"""Seconds between two looks."""
SHARE = 20.0
"""A look that took a second is taken again so many seconds later at the earliest."""
FILE = "experiment.yml"
PROBES = ("probing",)
TITLES = {"warm-up": "Warm-up", "baseline": "Baseline", "fault": "Fault", "recovery": "Recovery",
          "down": "Load down", "back": "Load back", "probing": "Probe"}  # fmt: skip


class Judging:
    """Phases and verdict of one run."""

    def __init__(self, run: Any, plan: Plan, files: Mapping[str, bytes], lanes: Lanes) -> None:
        self.plan = plan
        self.lanes = lanes
        self.experiment: Any = None
        self.kept: Kept | None = None
        self._sofar: SoFar | None = None
        self._entered: dict[str, float] = {}
        self._final: dict[str, Any] | None = None
        self.concluded = False
        """What was recorded has been read."""
        self._told: dict[str, Any] | None = None
        self._due = 0.0
        self._last = False
        """It was looked at since the load ended."""
        if run.kind == "experiment" and FILE in files:
            self._read(files[FILE].decode("utf-8", "replace"))

    def _read(self, text: str) -> None:
        try:
            self.experiment = one = experiment_of(text, FILE)
            timeline = timeline_of(one)
        except RascalError:  # of another version
            self.experiment = None
            return
        self.lanes.plan(timeline.windows)
        uses = one.uses
        self.kept = Kept(
            name=one.name,
            text=text,
            phases=dict(timeline.phases),
            uses=None if uses is None else {name: list(flows) for name, flows in uses.items()},
            deadlines=dict(one.deadlines),
            timeout=self.plan.timeout,
            expect=str(one.expect or ""),
        )
        self._sofar = SoFar(one.dependencies, one.thresholds)

    # ---- phases

    def take(self, event: Event) -> None:
        """An event of the run."""
        if self.kept is None:
            return
        if event.kind == "phase":
            name = str(event.data.get("phase", ""))
            if name in self._entered and name == "recovery":
                begin, end = self.kept.phases["recovery"]
                self.kept.phases["recovery"] = (begin, end + (end - begin))
            elif name and name not in self.kept.phases and name not in self._entered:
                self.kept.phases[name] = (event.second, event.second)
            self._entered.setdefault(name, event.second)
        elif isinstance(event.data.get("uses"), Mapping) and event.kind == "note":
            self.kept.uses = {
                str(name): [str(one) for one in flows] for name, flows in event.data["uses"].items()
            }

    def phases(self) -> list[dict[str, Any]]:
        """In order: kind, title, from, to (null: it goes on), and when it was really entered."""
        if self.kept is None:
            return []
        found = []
        for name, (begin, end) in self.kept.phases.items():
            if end <= begin and name not in PROBES:
                continue
            found.append(
                {
                    "kind": name,
                    "name": TITLES.get(name, name),
                    "from": begin,
                    "to": end if end > begin else None,
                    "entered": self._entered.get(name),
                }
            )
        return found

    @property
    def ends(self) -> float | None:
        """Where the last phase ends; None of a load run."""
        return max(end for _, end in self.kept.phases.values()) if self.kept else None

    # ---- the verdict

    def look(self, results: Results, *, ended: bool) -> dict[str, Any] | None:
        """What can be said, if it is time and there is something new."""
        now = time.monotonic()
        last = ended and not self._last
        if now < self._due and not (last or (ended and self._final)):
            return None
        self._last = ended
        found = self._final if self._final is not None else self._so_far(results, ended=ended)
        self._due = now + max(EVERY, SHARE * (time.monotonic() - now))
        if found == self._told:
            return None
        self._told = found
        return found

    def _so_far(self, results: Results, *, ended: bool) -> dict[str, Any] | None:
        measures = self._objectives(results)
        if self._sofar is None or self.kept is None:
            if not measures:
                return None
            return {"word": "", "provisional": not ended, "measures": measures, "flows": []}
        said: Now | None = None
        steps = self._sofar.steps(results, results.closed, self.kept)
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            said = stop.value
        if said is None or results.closed < 0:
            return None
        struck = [one.kept for one in said.flows if one.uses and one.kept is not None]
        return {
            "word": said.word,
            "provisional": True,
            "remark": said.remark,
            "sentence": "",
            "kept": min(struck, default=said.kept),
            "good": said.good,
            "usual": said.usual,
            "expect": self.kept.expect,
            "measures": _measures_of(said),
            "flows": [
                {
                    "name": one.name,
                    "uses": one.uses,
                    "faults": self._letters(one.name),
                    "rate": one.rate,
                    "good": one.good,
                    "usual": one.usual,
                    "kept": one.kept,
                    "p95": None if one.p95 is None else round(one.p95 * 1000, 2),
                    "honest": one.honest,
                    "dishonest": one.dishonest,
                }
                for one in said.flows
            ],
        }

    def _letters(self, flow: str) -> list[str] | None:
        """The faults on a flow's path; None if nobody knows it."""
        if self.kept is None or self.kept.uses is None:
            return None
        return [
            lane.id
            for proxy, flows in self.kept.uses.items()
            if flow in flows
            for lane in self.lanes.of(proxy)
        ]

    def _objectives(self, results: Results) -> list[dict[str, Any]]:
        """Of a load run."""
        if not self.plan.objectives or results.closed < 0 or self.kept is not None:
            return []
        return [_objective(one.json()) for one in objective_states(self.plan.objectives, results)]

    def conclude(self, store: Any, run: Any, results: Results) -> None:
        """The run has ended: what was recorded counts."""
        if self.concluded:
            return
        told = run.summary.get("deadlines") or {}
        results.deadlines.update(told.get("flows", {}))
        results.scenario_deadlines.update(told.get("scenarios", {}))
        data = store.data(run.id)
        if KEY not in data or "verdict" not in data:
            return
        self.concluded = True
        from rascal.experiment.outcome import of_stored

        self.kept = kept = Kept.of(data[KEY])
        self.lanes.settle(kept.faults)
        self._final = self._said(of_stored(_Merged(store, results), run.id))

    def _said(self, outcome: Any) -> dict[str, Any]:
        found = outcome.json()
        verdict = found["verdict"] or {}
        flows = [
            {
                "name": one["name"],
                "uses": one["uses"],
                "faults": self._letters(one["name"]),
                "kept": one["kept"][0],
                "between": one["kept"][1:],
                "usual": one["baseline"],
                "honest": one["honest"],
                "dishonest": one["dishonest"],
                "attempts": one["attempts"],
                "p95": None if one["p95"] is None else round(one["p95"] * 1000, 2),
                "recovered": one["time_to_recover"],
            }
            for one in verdict.get("flows", ())
        ]
        return {
            "word": outcome.word,
            "provisional": False,
            "sentence": found["sentence"],
            "remark": found["why"],
            "kept": min((one["kept"] for one in flows if one["uses"]), default=None),
            "sure": verdict.get("sure"),
            "between": verdict.get("between", []),
            "reasons": verdict.get("reasons", []),
            "expect": found["expect"],
            "met": found["met"],
            "exit": found["status"],
            "measures": [_objective(one) for one in found["objectives"]],
            "flows": flows,
            "outcome": found,
        }


class _Merged:
    """A store whose results of this run are merged already."""

    def __init__(self, store: Any, results: Results) -> None:
        self._store = store
        self._results = results

    def run(self, which: str) -> Any:
        return self._store.run(which)

    def data(self, which: str) -> Any:
        return self._store.data(which)

    def measured(self, which: str) -> Results:
        return self._results


def _objective(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": found["text"],
        "flow": found["flow"],
        "value": found["value"],
        "limit": found["limit"],
        "type": found["type"],
        "met": found["kept"],
        "why": found["why"],
    }


def _measures_of(said: Now) -> list[dict[str, Any]]:
    """What an experiment's page shows while there is no verdict."""
    lies = sum(one.dishonest for one in said.flows)
    told = sum(one.honest for one in said.flows)
    share = told / (told + lies) if told + lies else None
    names = (("goodput kept", said.kept), ("good calls", said.good), ("honest failures", share))
    return [
        {"name": name, "flow": "", "value": value, "limit": None, "type": "percentage",
         "met": None, "why": ""}
        for name, value in names
    ]  # fmt: skip
