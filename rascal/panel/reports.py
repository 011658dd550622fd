"""Files made of stored runs: reports, tables, logs. All are those of the command line.

They are made in a thread of their own with a reader of its own, so that neither the pages nor the
runs that are followed wait for the report of a long run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from rascal.control._problems import Problem
from rascal.store.errors import StoreError

T = TypeVar("T")

TYPES = {
    "report.html": "text/html; charset=utf-8",
    "report.json": "application/json",
    "report.csv": "text/csv; charset=utf-8",
    "junit.xml": "application/xml",
    "report.md": "text/markdown; charset=utf-8",
    "latency.hlog": "text/plain; charset=utf-8",
}
"""The files of a run, and what they are."""
CLOSED = "; sandbox allow-scripts; frame-ancestors 'none'"
"""A report is shown as if it came from elsewhere: nothing in it can reach the panel."""
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


class Reports:
    """Makes files in a thread, one after the other."""

    def __init__(self, panel: Any) -> None:
        self._panel = panel
        self._pool = ThreadPool(0, 1, "rascal-report")
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        self._closed = False
        panel.closing.append(self.close)

    def make(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """function(reader, *args) in that thread. Raises Problem: the panel is stopping."""
        if self._closed:
            raise Problem(503, "stopping", "the panel is stopping")
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(
            self._panel.reactor, self._pool, _read, self._panel.runs.path, function, *args
        )

    def close(self) -> None:
        """The panel stops."""
        self._closed = True
        if self._pool.started:
            self._pool.stop()


def _read(path: str, function: Callable[..., T], *args: Any) -> T:
    from rascal.store import Store

    with Store(path, readonly=True) as reader:
        return function(reader, *args)


def policy_of(page: str) -> str:
    """What a report allows itself, as a header: the panel's own policy would forbid its style."""
    found = _POLICY.search(page[:4096])
    return (found[1].replace("&#39;", "'") if found else "default-src 'none'") + CLOSED


def file_name(run: Any, name: str) -> str:
    """`run-17-cart-db-slow.html`, of plain letters only."""
    plain = _PLAIN.sub("-", run.name)[:60].strip("-.")
    stem = "-".join(part for part in ("run", run.id, plain) if part)
    return f"{stem}{'-junit' if name == 'junit.xml' else ''}{name[name.rindex('.') :]}"


def made(reader: Any, which: str, name: str, link: str) -> tuple[str, str]:
    """The name and the text of one file. Raises StoreError, ExperimentError."""
    run = reader.run(which)
    makers = _EXPERIMENT if run.kind == "experiment" else _LOAD
    return file_name(run, name), makers[name](reader, run, link)


# ---- of load runs, and of both


def _load(reader: Any, run: Any) -> Any:
    from rascal.load.outputs.gathered import gather

    return gather(reader, run.id)


def _html(reader: Any, run: Any, link: str) -> str:
    from rascal.load.outputs.html import html

    return html(_load(reader, run))


def _junit(reader: Any, run: Any, link: str) -> str:
    from rascal.load.outputs.junit import junit

    return junit(_load(reader, run))


def _json(reader: Any, run: Any, link: str) -> str:
    from rascal.store.export import export_json

    return "".join(export_json(reader, run.id))


def _csv(reader: Any, run: Any, link: str) -> str:
    from rascal.store.export import csv_tables

    return "".join(csv_tables(reader, run.id)["seconds"])


def _hdr(reader: Any, run: Any, link: str) -> str:
    from rascal.load.hdrlog import log_lines

    return "".join(f"{line}\n" for line in log_lines(reader.results(run.id), run.started or 0.0))


def _markdown(reader: Any, run: Any, link: str) -> str:
    from rascal.experiment.outputs.markdown import escape
    from rascal.load.outputs.headline import sentences

    it = _load(reader, run)
    lines = [f"### {escape(run.name)}", "", *(escape(one) for one in sentences(it)), ""]
    return "\n".join([*lines, f"[The whole report]({link}). Run {run.id}, seed {run.seed}."]) + "\n"


# ---- of experiments


def _judged(reader: Any, run: Any) -> Any:
    from rascal.experiment.errors import ExperimentError
    from rascal.experiment.outputs.gathered import gather

    try:
        return gather(reader, run.id)
    except ExperimentError as error:
        raise StoreError(f"there is no report of run {run.id} yet: {error}") from error


def _experiment_html(reader: Any, run: Any, link: str) -> str:
    from rascal.experiment.outputs.html import html

    return html(_judged(reader, run))


def _experiment_json(reader: Any, run: Any, link: str) -> str:
    from rascal.experiment.outputs.json import as_json

    return as_json(_judged(reader, run))


def _experiment_junit(reader: Any, run: Any, link: str) -> str:
    from rascal.experiment.outputs.junit import junit

    return junit(_judged(reader, run))


def _experiment_markdown(reader: Any, run: Any, link: str) -> str:
    from rascal.experiment.outputs.markdown import markdown

    return markdown(_judged(reader, run), link)


_Maker = Callable[[Any, Any, str], str]
_LOAD: dict[str, _Maker] = {
    "report.html": _html,
    "report.json": _json,
    "report.csv": _csv,
    "junit.xml": _junit,
    "report.md": _markdown,
    "latency.hlog": _hdr,
}
_EXPERIMENT: dict[str, _Maker] = {
    **_LOAD,
    "report.html": _experiment_html,
    "report.json": _experiment_json,
    "junit.xml": _experiment_junit,
    "report.md": _experiment_markdown,
}
