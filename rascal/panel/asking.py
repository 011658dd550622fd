"""What pages and programs ask to be run, made into orders for processes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rascal.control._problems import wrong_member
from rascal.errors import ConfigError, ConfigErrors
from rascal.load.wishes import NAMES

RUN = ("file", "tags", "agents")
"""Members of a load run besides those of a load file."""
EXPERIMENT = ("target", "seed", "labels", "agents", "lenient", "probe")
CHANGES = ("profiles", "target", "seed")
_NAME = re.compile(r"[\w-]{1,64}")


class Orders:
    """Checks what is asked for; rascal.panel.running starts it."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.reactor = panel.reactor
        self.path = ""

    async def begin(self, order: dict[str, Any], *, title: str, kind: str, by: str) -> Any:
        """Start it, or let it wait."""
        raise NotImplementedError

    async def start_load(
        self, values: Mapping[str, Any], *, folder: str | None = None, by: str = ""
    ) -> Any:
        """Start a load run.

        Args:
            values: by the names of a load file, and file (of scenarios), tags, agents.
            folder: where the file is; without it the settings' folder of scenarios.
            by: who.

        Raises Problem, ConfigErrors.
        """
        order, title = self.load_order(values, folder)
        return await self.begin(order, title=title, kind="load", by=by)

    def load_order(
        self, values: Mapping[str, Any], folder: str | None = None
    ) -> tuple[dict[str, Any], str]:
        """What a process is told to start a load run, and the run's title. Raises ConfigErrors."""
        given = {name: one for name, one in values.items() if one not in (None, "", [], {})}
        known = {*RUN, *NAMES} - {"scenarios"}
        for name in given:
            if name not in known:
                raise ConfigErrors([wrong_member(str(name), sorted(known), "a load run")])
        file = self._file(given.pop("file", ""), folder or self.panel.settings.scenarios, (".py",))
        if not given.get("target"):
            raise _wrong("target", "which target? its base URL, such as http://127.0.0.1:8080")
        order = {
            "kind": "load",
            "file": str(file),
            "cwd": str(file.parent),
            "tags": _texts(given.pop("tags", ()), "tags"),
            **self._where(given.pop("agents", None)),
            "values": {**given, "allow": list(self.panel.settings.targets)},
        }
        return order, str(given.get("name") or f"{file.name} → {given['target']}")

    async def start_experiment(
        self,
        file: str | None,
        *,
        text: str | None = None,
        name: str = "",
        folder: str | None = None,
        by: str = "",
        trusted: bool = False,
        **flags: Any,
    ) -> Any:
        """Start an experiment, of a file or of a text whose scenarios lie in the folder.

        Args:
            file: in the folder; None if there is a text.
            text: the experiment itself.
            name: what a text is called.
            folder: without it the settings' folder of experiments.
            by: who.
            trusted: an admin, who may have programs run and the environment read.
            flags: target, seed, labels, agents, lenient, probe.

        Raises Problem, ConfigErrors.
        """
        order, title = self.experiment_order(
            file, flags, text=text, name=name, folder=folder, trusted=trusted
        )
        return await self.begin(order, title=title, kind="experiment", by=by)

    def experiment_order(
        self,
        file: str | None,
        flags: Mapping[str, Any],
        *,
        text: str | None = None,
        name: str = "",
        folder: str | None = None,
        trusted: bool = False,
    ) -> tuple[dict[str, Any], str]:
        """What a process is told to start an experiment, and its title. Raises ConfigErrors."""
        base = folder or self.panel.settings.experiments
        for flag in flags:
            if flag not in EXPERIMENT:
                raise ConfigErrors([wrong_member(flag, EXPERIMENT, "an experiment's run")])
        order: dict[str, Any] = {
            "kind": "experiment",
            **self._where(flags.get("agents")),
            "nodes": dict(self.panel.settings.nodes),
            "given": self._given(flags),
            "bounds": self.bounds(
                trusted, (base, self.panel.settings.scenarios, self.panel.settings.experiments)
            ),
        }
        if text is not None:
            _check_text(text)
            if name and not _NAME.fullmatch(name):
                raise _wrong("name", "a name has letters, digits, '-' and '_'")
            where = _absolute(base)
            order |= {"text": text, "folder": where, "name": name or "experiment", "cwd": where}
            title = name or "experiment"
        else:
            path = self._file(file or "", base, (".yml", ".yaml"))
            order |= {"file": str(path), "cwd": str(path.parent)}
            title = path.stem
        return order, title

    async def replay(
        self,
        which: str,
        changes: Mapping[str, Any] | None = None,
        *,
        by: str = "",
        trusted: bool = False,
    ) -> Any:
        """Run a stored run again, with its own files and seed; with other profiles, another
        target or seed if they are given. Raises Problem, ConfigErrors, StoreError."""
        changes = dict(changes or {})
        for name in changes:
            if name not in CHANGES:
                raise ConfigErrors([wrong_member(name, CHANGES, "a replay")])
        if not isinstance(changes.get("profiles") or {}, Mapping):
            raise _wrong("profiles", "profiles are an object: {scenario: profile}")
        if "seed" in changes:
            changes["seed"] = _whole(changes["seed"], "seed")
        run = await self.ask(lambda store: store.run(which))
        if changes.get("profiles") and run.kind == "experiment":
            raise _wrong("profiles", "an experiment's load is part of its file: change that")
        order = {
            "kind": "replay",
            "run": run.id,
            "changes": changes,
            "allow": list(self.panel.settings.targets),
            "nodes": dict(self.panel.settings.nodes),
            "given": {"allow": list(self.panel.settings.targets)},
            "bounds": self.bounds(trusted),
            **self._where(len(run.about.get("agents") or ()) or None),
        }
        return await self.begin(order, title=f"{run.name} again", kind=run.kind, by=by)

    def bounds(self, trusted: bool, folders: Sequence[str] = ()) -> dict[str, Any]:
        """What an experiment may do here: rascal.experiment.bounds.Bounds as plain data."""
        nodes = self.panel.nodes
        urls = [node.url for node in nodes.nodes.values()] if nodes else []
        urls = urls or list(self.panel.settings.nodes.values())
        kept = tuple(dict.fromkeys(_absolute(folder) for folder in folders))
        return {"urls": tuple(urls), "folders": kept, "trusted": trusted}

    def ask(self, function: Any, *args: Any) -> Any:
        """In the store's thread."""
        raise NotImplementedError

    # ---- parts

    def _where(self, agents: Any) -> dict[str, Any]:
        """Store and agents."""
        count = None if agents in (None, "") else _whole(agents, "agents", least=1)
        redis = self.panel.settings.redis
        return {"store": self.path, "redis": redis, "agents": count}

    def _given(self, flags: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"allow": list(self.panel.settings.targets)}
        if flags.get("target"):
            found["target"] = str(flags["target"])
        if flags.get("seed") not in (None, ""):
            found["seed"] = str(_whole(flags["seed"], "seed"))
        if flags.get("labels"):
            found["label"] = _texts(flags["labels"], "labels")
        found["lenient"] = bool(flags.get("lenient", False))
        found["no_probe"] = not flags.get("probe", True)
        return found

    def _file(self, name: Any, folder: str, suffixes: tuple[str, ...]) -> Path:
        """A file in the folder, and nowhere else."""
        if not isinstance(name, str) or not name or "\0" in name:
            raise _wrong("file", f"which file? a {' or '.join(suffixes)} file in {folder}")
        base = Path(folder).expanduser().resolve()
        path = (base / name).resolve()
        if not path.is_relative_to(base) or path.suffix not in suffixes or not path.is_file():
            raise _wrong("file", f"there is no {suffixes[0]} file '{name}' in {folder}")
        return path


def _check_text(text: str) -> None:
    """Of an experiment that comes with a request; the editor's bound holds here as well."""
    from rascal.panel.experiment_files import LONGEST

    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise _wrong("text", "this text is no Unicode") from None
    if size > LONGEST:
        raise _wrong("text", f"an experiment has at most {LONGEST >> 10} KiB here")


def _absolute(folder: str) -> str:
    return str(Path(folder).expanduser().absolute())


def _wrong(name: str, text: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(text, pointer=f"/{name}")])


def _texts(value: Any, name: str) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise _wrong(name, f"{name} is a list of texts")
    return list(found)


def _whole(value: Any, name: str, least: int = 0) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _wrong(name, f"{name} is a whole number, from {least}")
    if int(text) < least:
        raise _wrong(name, f"{name} is a whole number, from {least}")
    return int(text)
