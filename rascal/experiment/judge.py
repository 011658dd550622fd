"""The judge: what an experiment recorded in, a verdict out. Pure: no clock, no chance, no I/O.

The rules are asked from the worst verdict to the best. A yes ends the walk, an unsure is
collected: the verdict is then one of several, and the text says what would settle it. The same
record gives the same bytes. docs/verdicts.md explains every rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rascal.experiment.checks import reasons
from rascal.experiment.counts import Flow, FlowCounts, Window, groups
from rascal.experiment.record import Record, Thresholds
from rascal.experiment.statistics import (
    NO,
    UNSURE,
    YES,
    Finding,
    Value,
    above,
    all_of,
    any_of,
    quantile,
    wilson,
)

VERDICTS = ("invalid", "corrupt", "stuck", "cascading", "degraded", "graceful", "resilient")
"""From worst to best."""
STUCK = ("broken", "overloaded", "metastable")
"""What the escape probe tells apart."""
WAITED = 5
"""A recovery this long (seconds) is looked at as a window of its own."""


@attrs.frozen(kw_only=True)
class Rule:
    """One rule: its verdict, its answer and what it was answered by."""

    verdict: str
    answer: Value
    lean: bool
    findings: tuple[Finding, ...] = ()


@attrs.frozen(kw_only=True)
class FlowResult:
    """One flow (or pool of thin flows) in numbers."""

    name: str
    uses: bool
    """It uses the faulted dependency, or nobody knows."""
    calls: Mapping[str, int]
    """In the baseline, the fault and the tail of the recovery."""
    baseline: float
    """Share of good calls."""
    kept: tuple[float, float, float]
    residual: tuple[float, float, float]
    """What is still missing over the tail: part, low, high."""
    honest: int
    dishonest: int
    reduced: int
    slow: float
    attempts: float
    attempts_before: float
    time_to_degrade: int | None
    time_to_recover: int
    scatter: float
    p95: float | None = None
    deadline: float | None = None
    derived: bool = False
    """The deadline was derived from the baseline, not given."""
    failures: Mapping[str, int] = attrs.Factory(dict)
    """During the fault, by outcome."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The judgement of an experiment."""

    word: str
    kind: str = ""
    """Of stuck: metastable, overloaded, broken, or "not probed"."""
    between: tuple[str, ...]
    """All verdicts that are possible; one if it is sure."""
    reasons: tuple[str, ...] = ()
    """Of invalid and corrupt."""
    rules: tuple[Rule, ...] = ()
    flows: tuple[FlowResult, ...] = ()
    windows: Mapping[str, Window] = attrs.Factory(dict)
    mapped: bool = True
    """Which flows use the dependency is known; without that cascading cannot be found."""
    amplification: float | None = None
    """Work per call at the dependency (bytes sent to it) at the end, over that of the baseline."""
    carries: float | None = None
    """Of overloaded: the share of its old load that it still serves, in time or late."""

    @property
    def sure(self) -> bool:
        """One verdict, no other is possible."""
        return len(self.between) == 1

    @property
    def name(self) -> str:
        """The word, or what kind of stuck it is."""
        return self.kind if self.kind in STUCK else self.word


def judge(record: Record, thresholds: Thresholds | None = None) -> Verdict:
    """Judge a finished experiment.

    Raises:
        ValueError: there is no fault, or no baseline, fault or recovery phase.
    """
    return _Case(record, thresholds or Thresholds()).verdict()


class _Case:
    """One record on its way through the rules."""

    def __init__(self, record: Record, thresholds: Thresholds) -> None:
        missing = {"baseline", "fault", "recovery"} - set(record.phases)
        if missing or not record.faults:
            raise ValueError(f"the record lacks {', '.join(sorted(missing)) or 'its faults'}")
        self.record, self.thresholds = record, thresholds
        phases = record.phases
        on = min(fault.on for fault in record.faults)
        self.fault = (math.ceil(on), math.ceil(max(fault.off for fault in record.faults)))
        begin, end = phases["baseline"]
        # Calls of the last second before the fault may still be in flight when it strikes.
        self.baseline = (math.ceil(begin), min(math.floor(end), math.floor(on) - 1))
        self.end = math.floor(phases["recovery"][1])
        left = self.end - self.fault[1]
        self.tail = (self.end - min(max(10, left // 3), left // 2), self.end)
        self.sure = thresholds.sure_again if record.looks > 1 else thresholds.sure
        length = math.ceil(max(last for _, last in phases.values()))
        found = [
            Flow(flow, length, self.baseline, thresholds, self._unsound())
            for flow in sorted(record.flows, key=lambda flow: flow.name)
        ]
        self.flows = [flow for flow in found if flow.total("calls", 0, self.end)]
        struck = {fault.dependency for fault in record.faults}
        self.mapped = all(flow.uses is not None for flow in self.flows)
        self.using = [f for f in self.flows if f.uses is None or struck & f.uses]
        self.others = [f for f in self.flows if f not in self.using]
        self.used: list[FlowCounts] = []
        self.rest: list[FlowCounts] = []

    @property
    def windows(self) -> dict[str, Window]:
        return {"baseline": self.baseline, "fault": self.fault, "tail": self.tail}

    def _unsound(self) -> frozenset[int]:
        """Seconds that do not count: what was late in them was the agent, not the system.

        Only where there are few; with more of them the run proves nothing anyway.
        """
        watched = range(self.baseline[0], self.end)
        found = self.record.unsound.intersection(watched)
        return found if len(found) <= self.thresholds.unsound * len(watched) else frozenset()

    def verdict(self) -> Verdict:
        windows = (("baseline", self.baseline), ("fault", self.fault), ("tail", self.tail))
        wrong = reasons(self.record, self.flows, self.using, windows, self.thresholds)
        self.used = self._grouped(self.using, "thin flows that use it", self.fault)
        self.rest = self._grouped(self.others, "thin other flows", self.fault)
        for flow in self.used + self.rest:
            flow.recovered = flow.time_to_recover(self.fault[1], self.end)
        if wrong:
            return self._made("invalid", ("invalid",), reasons=wrong)
        wrong = self._corrupt()
        if wrong:
            return self._made("corrupt", ("corrupt",), reasons=wrong)
        return self._walk()

    def _grouped(self, flows: Sequence[FlowCounts], name: str, window: Window) -> list[FlowCounts]:
        return groups(flows, name, self.thresholds, window, self.sure) if flows else []

    def _corrupt(self) -> list[str]:
        found = [
            f"'{one.name}' held before the fault and does not hold now"
            + (f" ({one.found})" if one.found else "")
            for one in self.record.invariants
            if not one.after
        ]
        lies = sum(
            failures.get("wrong_data", 0)
            for flow in self.flows
            for second, failures in flow.failures.items()
            if second >= self.fault[0]
        )
        return found + ([f"{lies} replies were wrong"] if lies else [])

    def _walk(self) -> Verdict:
        rules: list[Rule] = []
        failed: list[tuple[FlowCounts, str]] = []
        between: list[str] = []
        named = ""
        for rule in self._rules(failed):
            rules.append(rule)
            if rule.answer == NO:
                continue
            between.append(rule.verdict)
            named = named or (rule.verdict if rule.lean or rule.answer == YES else "")
            if rule.answer == YES:
                break
        kind, carries, more = self._probed(failed) if failed else ("", None, [])
        rules += more
        return self._made(named, between, rules=rules, kind=kind, carries=carries)

    def _rules(self, failed: list[tuple[FlowCounts, str]]) -> Any:
        """The rules, worst first; `failed` takes the flows that are stuck, and how."""
        yield self._stuck(failed)
        yield self._cascading()
        less, more = self._losses()
        value, lean = any_of(less)
        honesty = self._honesty()
        answer, leans = all_of([(value, lean), (honesty.answer, honesty.lean)])
        yield Rule(verdict="degraded", answer=answer, lean=leans, findings=(*less, honesty))
        found = [*less, *more, self._reduced()]
        answer, leans = any_of(found)
        yield Rule(verdict="graceful", answer=answer, lean=leans, findings=tuple(found))
        yield Rule(verdict="resilient", answer=YES, lean=True)

    def _stuck(self, failed: list[tuple[FlowCounts, str]]) -> Rule:
        found = []
        for flow in self.used + self.rest:
            lost = flow.lost(*self.tail, "at the end of the recovery")
            slow = flow.slow(*self.tail, "at the end of the recovery")
            found += [lost, slow]
            if YES in (lost.answer, slow.answer):
                failed.append((flow, "lost" if lost.answer == YES else "slow"))
        answer, lean = any_of(found)
        return Rule(verdict="stuck", answer=answer, lean=lean, findings=tuple(found))

    def _cascading(self) -> Rule:
        if not self.rest:
            text = "every flow uses the faulted dependency, or nobody said which do"
            found = [Finding(question=text, answer=NO, lean=False)]
            return Rule(verdict="cascading", answer=NO, lean=False, findings=tuple(found))
        found = [flow.lost(*self.fault, "during the fault") for flow in self.rest]
        scan = self.thresholds.scan
        starts = range(self.fault[0], max(self.fault[0] + 1, self.end - scan))
        z = quantile(self.sure, len(self.rest) * len(starts))
        for flow in self.rest:
            worst = min(
                (flow.kept(at, at + scan, z)[2], flow.kept(at, at + scan, z)[0], at)
                for at in starts
            )
            high, part, at = worst
            if high < self.thresholds.cascade_dip:
                text = f"{flow.name} kept only {part:.0%} from second {at} to {at + scan}"
                found.append(
                    Finding(
                        question=text,
                        answer=YES,
                        lean=True,
                        flow=flow.name,
                        part=part,
                        high=high,
                        limit=self.thresholds.cascade_dip,
                        scatter=flow.scatter,
                        calls=flow.total("calls", at, at + scan),
                        first=at,
                        last=at + scan,
                    )
                )
        answer, lean = any_of(found)
        return Rule(verdict="cascading", answer=answer, lean=lean, findings=tuple(found))

    def _losses(self) -> tuple[list[Finding], list[Finding]]:
        """Lost and slow, of every flow, while the fault was on and until it recovered."""
        less, more = [], []
        every = self.used + self.rest
        begin, end = self.fault
        for flow in every:
            spans = [(begin, end, flow.z, "during the fault")]
            if flow.recovered >= WAITED:
                # A span chosen by the data is corrected for the choice.
                z = quantile(self.sure, len(every) * (self.end - end))
                spans.append((end, end + flow.recovered, z, "before it recovered"))
            for first, last, z, when in spans:
                less.append(flow.lost(first, last, when, z))
                more.append(flow.slow(first, last, when, z))
        return less, more

    def _honesty(self) -> Finding:
        """The dishonest share of the failures that the fault added, after the reaction time."""
        first = self.fault[0] + math.ceil(self.thresholds.react)
        last = self.fault[1] + max((flow.recovered for flow in self.used), default=0)
        lies = failures = 0.0
        every = self.used + self.rest
        for flow in every:
            calls = flow.total("calls", first, last)
            bad, honest = (
                max(0.0, flow.total(name, first, last) - calls * flow.share0(name))
                for name in ("dishonest", "honest")
            )
            lies, failures = lies + bad, failures + bad + honest
        limit = self.thresholds.dishonest
        if failures < 1:
            text = "nothing failed after the reaction time"
            return Finding(question=text, answer=NO, lean=False, limit=limit)
        spread = max(flow.scatter for flow in every)
        low, high = wilson(lies / spread, failures / spread, self.used[0].z)
        answer, lean = above(lies / failures, low, high, limit)
        text = (
            f"{lies:.0f} of {failures:.0f} failures after the first "
            f"{self.thresholds.react:g} s were dishonest"
        )
        return Finding(
            question=text, answer=answer, lean=lean, part=lies / failures, low=low, high=high,
            limit=limit, calls=round(failures), scatter=spread, first=first, last=last,
        )  # fmt: skip

    def _reduced(self) -> Finding:
        good = sum(flow.total("good", *self.fault) for flow in self.used)
        part = sum(flow.total("reduced", *self.fault) for flow in self.used) / max(1, good)
        limit = self.thresholds.reduced
        answer, lean = above(part, part, part, limit)
        text = f"{part:.0%} of the good calls were reduced service"
        return Finding(
            question=text, answer=answer, lean=lean, part=part, limit=limit, calls=good,
            first=self.fault[0], last=self.fault[1],
        )  # fmt: skip

    def _probed(
        self, failed: Sequence[tuple[FlowCounts, str]]
    ) -> tuple[str, float | None, list[Rule]]:
        """The escape probe: load down, wait, load back. Clear, and clear after it: metastable."""
        phases = self.record.phases
        if "down" not in phases or "back" not in phases:
            return "not probed", None, []
        (down, down_end), (back, back_end) = (
            (math.ceil(phases[name][0]), math.floor(phases[name][1])) for name in ("down", "back")
        )
        half = (down + down_end) // 2
        clear = []
        for flow, how in failed:
            part, low, high = flow.kept(half, down_end, flow.z)
            limit = self.thresholds.clear
            text = f"{flow.name} kept {part:.1%} of its goodput at low load"
            answer: Value = NO if part < limit else YES
            clear.append(
                Finding(
                    question=text,
                    answer=answer,
                    lean=answer == YES,
                    flow=flow.name,
                    part=part,
                    low=low,
                    high=high,
                    limit=limit,
                    calls=flow.total("calls", half, down_end),
                    scatter=flow.scatter,
                    first=half,
                    last=down_end,
                )
            )
            if how == "slow":
                slow = flow.slow(half, down_end, "at low load")
                turned: Value = NO if slow.answer == YES else YES
                clear.append(attrs.evolve(slow, answer=turned, lean=turned == YES))
        well, _ = all_of((one.answer, one.lean) for one in clear)
        rules = [
            Rule(verdict="clears at low load", answer=well, lean=well == YES, findings=tuple(clear))
        ]
        if well == NO:
            return "broken", None, rules
        half = (back + back_end) // 2
        again = [
            (flow.lost if how == "lost" else flow.slow)(half, back_end, "back at full load")
            for flow, how in failed
        ]
        answer, lean = any_of(again)
        rules.append(
            Rule(
                verdict="fails again at full load", answer=answer, lean=lean, findings=tuple(again)
            )
        )
        fails = answer == YES or (answer == UNSURE and lean)
        if not fails:
            return "metastable", None, rules
        return "overloaded", self._carried(failed, half, back_end), rules

    @staticmethod
    def _carried(failed: Sequence[tuple[FlowCounts, str]], first: int, last: int) -> float | None:
        """The share of the calls that were served at all, back at full load."""
        calls = sum(flow.total("calls", first, last) for flow, _ in failed)
        served = sum(flow.total("served", first, last) for flow, _ in failed)
        return served / calls if calls else None

    def _made(
        self,
        word: str,
        between: Sequence[str],
        *,
        reasons: Sequence[str] = (),
        rules: Sequence[Rule] = (),
        kind: str = "",
        carries: float | None = None,
    ) -> Verdict:
        return Verdict(
            word=word,
            kind=kind,
            between=tuple(between),
            reasons=tuple(reasons),
            rules=tuple(rules),
            flows=tuple(self._result(flow) for flow in self.used + self.rest),
            windows=self.windows,
            mapped=self.mapped,
            amplification=self._amplification(),
            carries=carries,
        )

    def _result(self, flow: FlowCounts) -> FlowResult:
        begin, end = self.fault
        calls = flow.total("calls", begin, end)
        alone = flow if isinstance(flow, Flow) else None
        failures: dict[str, int] = {}
        if alone is not None:
            for second in range(begin, end):
                for name, count in alone.failures.get(second, {}).items():
                    failures[name] = failures.get(name, 0) + count
        part, low, high = flow.kept(*self.tail, flow.z)
        return FlowResult(
            name=flow.name,
            uses=flow in self.used,
            calls={name: flow.total("calls", *window) for name, window in self.windows.items()},
            baseline=flow.good0 / max(1, flow.calls0),
            kept=flow.kept(begin, end, flow.z),
            residual=(1 - part, 1 - high, 1 - low),
            honest=flow.total("honest", begin, end),
            dishonest=flow.total("dishonest", begin, end),
            reduced=flow.total("reduced", begin, end),
            slow=flow.total("slow", begin, end) / max(1, flow.total("served", begin, end)),
            attempts=flow.total("attempts", begin, end) / max(1, calls),
            attempts_before=flow.total("attempts", *self.baseline) / max(1, flow.calls0),
            time_to_degrade=flow.time_to_degrade(begin, end),
            time_to_recover=flow.recovered,
            scatter=flow.scatter,
            p95=alone.p95 if alone else None,
            deadline=alone.deadline if alone else None,
            derived=bool(alone and alone.derived),
            failures=dict(sorted(failures.items())),
        )

    def _amplification(self) -> float | None:
        """Work per call at the faulted dependencies over the tail, against the baseline."""
        struck = {fault.dependency for fault in self.record.faults}
        seen = [self.record.work[name] for name in sorted(struck & set(self.record.work))]
        ratios = []
        for first, last in (self.baseline, self.tail):
            calls = sum(flow.total("calls", first, last) for flow in self.using)
            found = sum(one.get(second, 0) for one in seen for second in range(first, last))
            ratios.append(found / calls if calls else 0.0)
        return ratios[1] / ratios[0] if ratios[0] else None
