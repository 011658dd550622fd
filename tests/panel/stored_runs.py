"""A run store with a few runs that have ended, and a client that takes pages as they are."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

from experiment.outputs.stored_experiments import put
from panel_process import PATIENCE, PanelProcess

from rascal.experiment.outcome import of_stored
from rascal.experiment.words import figures
from rascal.load.planning import plan_of
from rascal.load.plans_json import plan_json
from rascal.load.types import SERVED, Meters, Report, Row
from rascal.store import Store

STRANGE = "<script>alert('run')</script>"
TARGET = "http://127.0.0.1:8080"


def plan(**values: str) -> dict[str, Any]:
    """As `rascal load run` keeps it."""
    given = {"target": TARGET, "rate": "50/s", "for": "20s", **values}
    found = plan_of(given, scenarios=("visit",), file="shop.py")
    return dict(plan_json(found))


def experiment(store: Store, system: str, **more: Any) -> str:
    """One that was judged, with what lists show of its verdict."""
    run = put(store, system, planned=plan(), **more)
    judged = of_stored(store, run)
    word = {"word": judged.word, "sentence": judged.sentence, "status": judged.status}
    if judged.verdict is not None:
        word |= figures(judged.verdict)
    store.put(run, "verdict", word)
    return run


def load(store: Store, name: str = "front", *, slow: float = 0.01, failed: int = 0,
         **about: Any) -> str:  # fmt: skip
    """A load run of twenty seconds: fifty calls a second, some of which fail."""
    made = plan(name=name)
    run = store.create(made, {"shop.py": b"# shop"}, kind="load", name=name, seed=1,
                       versions={"rascal": "1.0"}, host="machine", started=1_700_000_000.0,
                       command="rascal load run shop.py", **about)  # fmt: skip
    store.begin(run, 1_700_000_000.0)
    for second in range(20):
        row = Row()
        row.planned = row.started = row.attempts = row.replies = 50
        row.outcomes = {SERVED: 50 - failed, **({"http_5xx": failed} if failed else {})}
        for at in range(50 - failed):
            row.served.record(round(slow * 1e6 * (1 + at / 100)))
            row.served_actual.record(round(slow * 1e6 * (1 + at / 100)))
        report = Report(
            run=run, agent="local", sequence=second, second=second,
            rows={("flow", "front", second): row},
            meters=Meters(in_flight=2), last=second == 19,
        )  # fmt: skip
        store.add(run, report)
    store.finish(run, "completed", {"status": 1 if failed else 0, "seconds": 20.0})
    return run


def filled(folder: Path, many: int = 0) -> dict[str, str]:
    """The store of a folder, and its runs by what they are."""
    with Store(str(folder / "runs.db")) as store:
        runs = {
            "degraded": experiment(store, "hangs", name="shop", seed=5),
            "resilient": experiment(store, "absorbs it", name="shop", seed=6),
            "stopped": put(store, "fast 503", name="halted", stopped="stopped by ann"),
            "quick": load(store, by="ann"),
            "slow": load(store, slow=0.08, failed=5),
            "strange": load(store, name=STRANGE),
        }
        for _ in range(many):
            load(store, name="many")
        store.label(runs["quick"], ["nightly"])
        return runs


class Browser:
    """Asks a panel for pages, without running anything in them."""

    def __init__(self, panel: PanelProcess) -> None:
        self.panel = panel

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.panel.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return answer.status, {name.lower(): one for name, one in answer.getheaders()}, text
        finally:
            connection.close()

    def page(self, path: str) -> str:
        """A page that is there."""
        status, headers, text = self.get(path)
        assert status == 200, (status, text[-600:], self.panel.log()[-3000:])
        assert headers["content-type"] == "text/html; charset=utf-8"
        return text
