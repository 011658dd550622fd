"""The experiment files of the panel: listed, read, checked while they are written, saved.

Texts are read in a process of its own (rascal.panel.inspecting); the scenario file that one names
is read as all scenario files are. Whoever saves says which content was read before, so that
nobody's work is overwritten unseen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from rascal.control._problems import Problem
from rascal.errors import ConfigErrors
from rascal.panel.folders import HEAD, Folder, Found, digest_of, stamp_of
from rascal.panel.helpers import Helpers
from rascal.panel.scenario_files import is_scenario

_MARK = re.compile(rb"^(faults|scripts|recipe|expect|phases)\s*:", re.MULTILINE)
WHAT = "an experiment has faults, scripts, recipe, expect or phases at the beginning of a line"
SUFFIXES = (".yml", ".yaml")
FRESH = 2.0
LONGEST = 40 << 10
"""Bytes of an experiment that is edited here."""


def is_experiment(data: bytes) -> bool:
    """Whether YAML looks like an experiment."""
    return bool(_MARK.search(data))


class ExperimentFiles:
    """What pages know of experiments."""

    def __init__(self, panel: Any, helpers: Helpers) -> None:
        self.helpers = helpers
        self.folder = Folder(panel.settings.experiments, SUFFIXES, is_experiment)
        self._panel = panel
        self._reactor = panel.reactor
        self._known: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._plans: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._specs: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._listed: tuple[float, list[Found]] | None = None

    async def files(self) -> list[Found]:
        """Those that are there."""
        now = self._reactor.seconds()
        if self._listed is None or now - self._listed[0] > FRESH:
            self._listed = (now, await self.helpers.run(self.folder.files))
        return self._listed[1]

    def changed(self) -> None:
        """A file was written: list again."""
        self._listed = None

    async def find(self, name: str) -> Found:
        """By its file's name, with or without suffix, or by what it calls itself.

        Raises Problem (404).
        """
        for suffix in ("",) if name.endswith(SUFFIXES) else SUFFIXES:
            try:
                return await self.helpers.run(self.folder.find, name + suffix)
            except Problem:
                continue
        for found in await self.files():
            known = self._known.get(found.name)
            if known is not None and known[1].get("name") == name:
                return found
        base = self.folder.base
        raise Problem(404, "unknown-name", f"there is no experiment '{name[:200]}' in {base}")

    async def text(self, found: Found) -> tuple[str, str]:
        """The text of a file and its digest. Raises Problem."""
        return await self.helpers.run(_read, found.path, found.name)

    def known(self, found: Found) -> dict[str, Any] | None:
        """What a list shows of it, if it was read since it changed."""
        there = self._known.get(found.name)
        return there[1] if there is not None and there[0] == found.stamp else None

    async def facts(self, found: Found) -> dict[str, Any]:
        """What a list shows of it."""
        known = self.known(found)
        if known is not None:
            return known
        try:
            text, digest = await self.text(found)
            answer = await self.helpers.ask("facts", text=text, path=found.name)
            about = answer.get("answer") or {"findings": answer["findings"]}
            about = {**about, "digest": digest}
        except Problem as problem:
            about = {"findings": [{"message": problem.title, "file": found.name}]}
        about.setdefault("name", Path(found.name).stem)
        self._known[found.name] = (found.stamp, about)
        return about

    def all_facts(self) -> Deferred[Any]:
        """Of every file; what is not known yet is read."""

        async def every() -> Any:
            found = await self.files()
            asked = [Deferred.fromCoroutine(self.facts(one)) for one in found]
            return list(zip(found, await gatherResults(asked), strict=True))

        return Deferred.fromCoroutine(every())

    # ---- while it is written

    async def check(self, text: str, name: str) -> dict[str, Any]:
        """Findings and plan of a text that stands, or may stand, in a file. Raises Problem."""
        _check_length(text)
        given = {
            "text": text,
            "path": name,
            "nodes": dict(self._panel.settings.nodes),
            "proxies": self.proxies(),
            "allow": list(self._panel.settings.targets),
        }
        before = self._specs.get(name)
        found = await self._ask("check", **given, scenarios=before[1] if before else None)
        wanted = found["scenarios"]
        if not wanted:
            return found
        spec = await self._spec(wanted, name)
        if before is None or spec is not before[1]:
            found = await self._ask("check", **given, scenarios=spec)
        if spec["findings"]:
            found["findings"] += [
                {**one, "message": f"scenarios: {one['message']}", "of": "scenarios"}
                for one in spec["findings"]
            ]
        return found

    async def plan(self, found: Found) -> dict[str, Any]:
        """Findings and plan of a file as it is. Raises Problem."""
        text, _ = await self.text(found)
        checked = await self.check(text, found.name)
        self._plans[found.name] = (found.stamp, checked)
        return checked

    def last_plan(self, found: Found) -> dict[str, Any] | None:
        """What `plan` gave last, if the file has not changed."""
        there = self._plans.get(found.name)
        return there[1] if there is not None and there[0] == found.stamp else None

    async def _spec(self, wanted: str, name: str) -> dict[str, Any]:
        """What the scenario file beside an experiment declares."""
        path = (self.folder.base / name).parent / wanted
        try:
            stamp = await self.helpers.run(self._stamp, path)
        except (OSError, ValueError):
            text = f"there is no scenario file '{wanted}' beside the experiment"
            return {"file": wanted, "findings": [{"message": text, "option": "scenarios"}]}
        known = self._specs.get(name)
        if known is not None and known[0] == (wanted, stamp):
            return known[1]
        about = await self.helpers.wait(
            self.helpers.look, str(path.resolve()), str(path.resolve().parent)
        )
        spec = {"scenarios": {}, "parameters": [], **about, "file": wanted}
        if len(self._specs) > 500:
            self._specs.clear()
        self._specs[name] = ((wanted, stamp), spec)
        return spec

    def _stamp(self, path: Path) -> Any:
        """Only of Python that lies in one of the folders of the settings."""
        real = path.resolve()
        bases = (self.folder.base, Path(self._panel.settings.scenarios).expanduser().resolve())
        if real.suffix != ".py" or not any(real.is_relative_to(one) for one in bases):
            raise ValueError
        with real.open("rb") as file:
            if not is_scenario(file.read(HEAD)):
                raise ValueError
        return stamp_of(real)

    def proxies(self) -> dict[str, Any] | None:
        """Those that the nodes have now; None while no node is known to be up."""
        nodes = getattr(self._panel.nodes, "nodes", None) or {}
        if not nodes or any(getattr(one, "state", "") != "up" for one in nodes.values()):
            return None
        return {name: node_name for node_name, one in nodes.items() for name in (one.proxies or {})}

    async def changed_by(self, what: str, text: str, name: str, **given: Any) -> dict[str, Any]:
        """A change that was made in the drawing: the new text. Raises Problem."""
        _check_length(text)
        return await self._ask(what, text=text, path=name, **given)

    async def starter(self, file: str, given: Mapping[str, str]) -> str:
        """The text of a new file. Raises Problem with the fields that are wrong."""
        found = await self._ask("starter", file=file, given=dict(given))
        return str(found["text"])

    async def _ask(self, what: str, **given: Any) -> dict[str, Any]:
        found = await self.helpers.ask(what, **given)
        if "findings" in found and "answer" not in found:
            errors = [
                {**one, "title": one["message"], "pointer": f"/{one.get('option', '')}"}
                for one in found["findings"]
            ]
            raise Problem(422, "not-allowed", errors[0]["title"], errors=errors)
        answer: dict[str, Any] = found["answer"]
        return answer

    # ---- saving

    async def save(self, name: str, text: str, digest: str | None) -> dict[str, Any]:
        """Write it; a new file without a digest. Raises Problem (409, 404)."""
        _check_length(text)
        new = await self.helpers.run(self._save, name, text, digest)
        self.changed()
        return {"file": name, "digest": new}

    def _save(self, name: str, text: str, digest: str | None) -> str:
        there = self.folder.place(name).exists()
        if there and digest is not None:
            self.folder.find(name)  # nothing but experiments is written over
        elif not there and not is_experiment(text.encode("utf-8", "replace")):
            raise Problem(422, "not-allowed", WHAT)
        return self.folder.write(name, text, digest)

    async def ask_proxies(self, text: str, name: str) -> list[dict[str, Any]]:
        """What the proxies say about an experiment's faults: each is installed disarmed, and
        removed at once."""
        from rascal.experiment.bounds import Bounds
        from rascal.experiment.fitting import misfits
        from rascal.experiment.reading import experiment_of
        from rascal.load.masking import hidden

        _check_length(text)
        try:
            experiment = await self.helpers.run(experiment_of, text, name, hidden(os.environ))
        except ConfigErrors as errors:
            return [{"message": one.message, "line": one.line} for one in errors.findings]
        import attrs

        if "nodes:" not in text:
            experiment = attrs.evolve(experiment, nodes=dict(self._panel.settings.nodes))
        bounds = Bounds(**self._panel.runs.bounds(trusted=True))
        found: list[Any] = list(bounds.problems(experiment, ""))
        found = found or await misfits(
            self._reactor, experiment, run=f"check-{os.urandom(3).hex()}"
        )
        return [
            {"message": getattr(one, "message", str(one)), "line": getattr(one, "line", None)}
            for one in found
        ]


def _read(path: Path, name: str) -> tuple[str, str]:
    data = path.read_bytes()
    if len(data) > LONGEST:
        raise Problem(413, "too-large", f"{name} is longer than {LONGEST >> 10} KiB")
    try:
        return data.decode(), digest_of(data)
    except UnicodeDecodeError:
        raise Problem(422, "not-allowed", f"{name} is not UTF-8") from None


def _check_length(text: str) -> None:
    if not isinstance(text, str) or "\0" in text:
        raise Problem(422, "not-allowed", "an experiment is a text", pointer="/text")
    if len(text.encode("utf-8", "replace")) > LONGEST:
        raise Problem(
            413, "too-large", f"an experiment has at most {LONGEST >> 10} KiB", pointer="/text"
        )
