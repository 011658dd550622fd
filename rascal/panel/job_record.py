"""A job as it is kept: one JSON file each, in a folder beside the run store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from rascal.panel.job_source import Source
from rascal.panel.queue import save

WORKING = ("fetching", "installing", "checking")
"""States in which a process works for it."""
BUSY = (*WORKING, "running")
OPEN = ("waiting", "starting", "running")
"""States of a file's run that go on."""
LINES = 60
"""Of its log that are kept."""
FILES, RECORD = "files", "job.json"
VERSION = 1


@attrs.define(kw_only=True)
class Job:
    """What somebody wants run from a repository or folder.

    fetching ─► read ─► installing ─► checking ─► checked ─► running ─► ended
                  └──────────── failed, cancelled ───────────────┘
    """

    id: str
    source: Source
    by: str = ""
    made: float = 0.0
    ended: float | None = None
    state: str = "fetching"
    wanted: str = "read"
    """How far it is to go: read, check, run."""
    why: str = ""
    """Why it does not go on."""
    commit: dict[str, Any] = attrs.Factory(dict)
    name: str = ""
    file: str = ""
    """rascal.yml or .marteau.yml."""
    text: str = ""
    """What stands in it."""
    target: str = ""
    """Of the file."""
    aim: str = ""
    """Instead of it, by whoever runs it."""
    requires: list[str] = attrs.Factory(list)
    labels: list[str] = attrs.Factory(list)
    items: list[dict[str, Any]] = attrs.Factory(list)
    findings: list[dict[str, Any]] = attrs.Factory(list)
    notes: list[dict[str, str]] = attrs.Factory(list)
    suggestion: str = ""
    python: str = ""
    """Of its environment."""
    checked: bool = False
    stopping: bool = False
    """Somebody has called it off."""
    again: str = ""
    """The job that it repeats."""
    process: str = ""
    """Of what works for it: where it lives, so that it can be found again."""
    pid: int = 0
    log: list[dict[str, Any]] = attrs.Factory(list)

    @property
    def title(self) -> str:
        """What lists call it."""
        return self.name or self.source.title

    @property
    def busy(self) -> bool:
        """Something goes on."""
        return self.state in BUSY

    @property
    def well(self) -> bool:
        """What was read can be run, as far as that is known."""
        return not self.findings and not any(one.get("findings") for one in self.items)

    def say(self, at: float, text: str) -> None:
        """A line of its log."""
        self.log.append({"at": round(at, 3), "text": text[:500]})
        del self.log[:-LINES]

    def brief(self) -> dict[str, Any]:
        """As lists show it."""
        runs = [one for one in self.items if one.get("state")]
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.source.kind,
            "url": self.source.url,
            "ref": self.source.ref,
            "commit": self.commit,
            "by": self.by,
            "made": self.made,
            "ended": self.ended,
            "state": self.state,
            "why": self.why,
            "again": self.again,
            "runs": [
                {key: one.get(key) for key in ("file", "kind", "state", "run", "word", "outcome",
                                               "status", "position")}
                for one in runs
            ],
        }  # fmt: skip

    def json(self) -> dict[str, Any]:
        """All of it that pages and programs may see."""
        names = ("name", "file", "text", "target", "aim", "requires", "labels", "findings", "notes",
                 "suggestion", "checked", "stopping", "log")  # fmt: skip
        return {**self.brief(), **{name: getattr(self, name) for name in names},
                "items": [shown(one) for one in self.items]}  # fmt: skip


def file_of(item: Mapping[str, Any]) -> str:
    """The file that the job names: a load file rather than its scenarios."""
    return str(item.get("of") or item["file"])


def shown(item: Mapping[str, Any]) -> dict[str, Any]:
    """A file of a job, for pages: values of headers are hidden."""
    values = dict(item.get("values") or {})
    if isinstance(values.get("headers"), Mapping):
        values["headers"] = dict.fromkeys(values["headers"], "***")
    return {**item, "values": values}


class Records:
    """The folder of the jobs."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def folder(self, job: Job) -> Path:
        """Of one job."""
        return self.base / job.id

    def files(self, job: Job) -> Path:
        """What was fetched."""
        return self.base / job.id / FILES

    def save(self, job: Job) -> None:
        """Keep it as it is now."""
        folder = self.folder(job)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        save(str(folder / RECORD), json.dumps({"version": VERSION, "job": attrs.asdict(job)}))

    def load(self) -> dict[str, Job]:
        """All, the oldest first; what cannot be read is left out."""
        found = []
        with suppress(OSError):
            for folder in self.base.iterdir():
                if not folder.name.isdecimal():
                    continue
                with suppress(OSError, ValueError, KeyError, TypeError):
                    kept = json.loads((folder / RECORD).read_text("utf-8"))
                    if kept["version"] == VERSION:
                        values = kept["job"]
                        values["source"] = Source(**values["source"])
                        found.append(Job(**values))
        return {one.id: one for one in sorted(found, key=lambda one: int(one.id))}

    def delete(self, job: Job) -> None:
        """Take it away, files and all; to be called in a thread."""
        shutil.rmtree(self.folder(job), ignore_errors=True)

    def delete_files(self, job: Job) -> None:
        """Its files alone; they can be fetched again."""
        shutil.rmtree(self.files(job), ignore_errors=True)
