"""`rascal.yml`: what a repository or folder wants to be run. Read, never run.

    name: checkout
    target: http://127.0.0.1:8080
    requires: [faker>=24]
    experiments: [checks/slow-database.yml]
    scenarios:
      - checks/evening.yml
      - {file: checks/shop.py, profile: hold 20/s for 1m}

Files are named from the folder that holds it, and lie in that folder. `scenarios` are load files,
or scenario files with the names of a load file beside them that say how much load. All that is
wrong comes at once, with file and line. docs/jobs.md says it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rascal.errors import ConfigError, ConfigErrors, RascalError, did_you_mean
from rascal.load.environments import DependencyError, check_requirements
from rascal.load.planning import read_load_file
from rascal.load.targets import target_problems
from rascal.load.wishes import LOAD, NAMES, as_list, kind_of
from rascal.load.yamltext import Block, Text, place, read_yaml

FILE = "rascal.yml"
OLD = ".marteau.yml"
LONGEST = 64 << 10
"""Bytes of the file."""
MOST = 50
"""Files that one job runs."""
TOP = ("name", "target", "requires", "experiments", "scenarios", "labels")
EXPERIMENT = ("file", "target", "seed", "labels", "lenient", "agents")
LOAD_RUN = ("file", "tags", "agents", *(one for one in NAMES if one != "scenarios"))
SUFFIXES = {"experiment": (".yml", ".yaml"), "load": (".py", ".yml", ".yaml")}
NAME = 80
"""Characters of a name."""


class JobFile:
    """Reads one file; collects what is wrong."""

    def __init__(self, folder: str, name: str = FILE) -> None:
        self.base = Path(folder).resolve()
        self.name = name
        self.findings: list[ConfigError] = []

    def read(self) -> dict[str, Any]:
        """{"name", "target", "requires", "labels", "items": […]}; what is wrong is in findings."""
        found = self._yaml()
        empty = {"name": "", "target": "", "requires": [], "labels": [], "items": []}
        if found is None:
            return empty
        self._known(found, TOP, "a job")
        target = self._text(found, "target")
        for problem in target_problems(target) if target else ():
            self.wrong(problem, found["target"], "target")
        made = {
            "name": self._text(found, "name")[:NAME],
            "target": target.rstrip("/"),
            "requires": self._requires(found),
            "labels": self._texts(found, "labels"),
            "items": [
                *self._items(found, "experiments", "experiment"),
                *self._items(found, "scenarios", "load"),
            ],
        }
        if not made["items"] and not self.findings:
            text = "nothing to run: write experiments or scenarios, lists of files"
            self.wrong(text, None, "experiments")
        if len(made["items"]) > MOST:
            self.wrong(f"{len(made['items'])} files; a job runs {MOST} at most", None, "scenarios")
        return made

    def wrong(self, message: str, at: Any, option: str, code: str = "not-allowed") -> None:
        """A finding at a value of the file."""
        self.findings.append(
            ConfigError(message, path=self.name, option=option, code=code, **place(at))
        )

    def _yaml(self) -> Block | None:
        path = self.base / self.name
        text = self._content(path)
        if text is None:
            return None
        try:
            found = read_yaml(text, self.name)
        except ConfigErrors as errors:
            self.findings += errors.findings
            return None
        if not isinstance(found, Block):
            self.wrong("a job is a list of 'name: value' lines: experiments, scenarios", None, "")
            return None
        return found

    def _content(self, path: Path) -> str | None:
        try:
            if path.is_symlink() or not path.is_file():
                self.wrong("there is no such file, or it is no plain file", None, "")
                return None
            with path.open("rb") as file:
                data = file.read(LONGEST + 1)
            if len(data) > LONGEST:
                self.wrong(f"it is longer than {LONGEST >> 10} KiB", None, "")
                return None
            return data.decode()
        except OSError as error:
            self.wrong(f"cannot be read: {error.strerror}", None, "")
        except UnicodeDecodeError:
            self.wrong("it is not UTF-8", None, "")
        return None

    # ---- values

    def _known(self, values: Mapping[str, Any], names: tuple[str, ...], what: str) -> None:
        for name in values:
            if name in names:
                continue
            if name == "allow":
                text = (
                    "'allow' does not stand in a job: whom load may be sent to is said by the "
                    "panel ('targets'), or by the target itself"
                )
            else:
                text = f"'{name}' is not known in {what}; names: {', '.join(names)}."
                text += did_you_mean(name, names)
            self.wrong(text, name, str(name), "unknown-name")

    def _text(self, values: Mapping[str, Any], name: str) -> str:
        value = values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.wrong(f"{name} is a text, found {kind_of(value)}", value, name)
            return ""
        return " ".join(value.split())

    def _texts(self, values: Mapping[str, Any], name: str) -> list[str]:
        found = []
        for one in as_list(values.get(name)):
            if isinstance(one, str) and one.strip():
                found.append(str(one).strip())
            else:
                self.wrong(f"{name} is a list of texts, found {kind_of(one)}", one, name)
        return found

    def _requires(self, values: Mapping[str, Any]) -> list[str]:
        found = []
        for one in as_list(values.get("requires")):
            if not isinstance(one, str):
                self.wrong(f"requires is a list of texts, found {kind_of(one)}", one, "requires")
                continue
            try:
                found += check_requirements([one])
            except DependencyError as error:
                self.wrong(str(error), one, "requires")
        try:
            return check_requirements(found)
        except DependencyError as error:
            self.wrong(str(error), values.get("requires"), "requires")
            return []

    # ---- files

    def _items(self, values: Mapping[str, Any], name: str, kind: str) -> list[dict[str, Any]]:
        found = []
        for one in as_list(values.get(name)):
            given = one if isinstance(one, Block) else {"file": one}
            if isinstance(one, Block):
                names = EXPERIMENT if kind == "experiment" else LOAD_RUN
                self._known(one, names, "an experiment's run" if kind == "experiment" else "a run")
            item = self._item(given, name, kind, one)
            if item is not None:
                found.append(item)
        return found

    def _item(
        self, given: Mapping[str, Any], name: str, kind: str, at: Any
    ) -> dict[str, Any] | None:
        file = given.get("file")
        if not isinstance(file, str) or not file.strip():
            self.wrong(f"{name}: which file? found {kind_of(file)}", at, name)
            return None
        path = self.inside(file, SUFFIXES[kind], name)
        if path is None:
            return None
        item: dict[str, Any] = {
            "kind": kind,
            "file": path.relative_to(self.base).as_posix(),
            "line": place(file).get("line"),
            "values": {str(key): _plain(one) for key, one in given.items() if key != "file"},
        }
        before = len(self.findings)
        if kind == "experiment":
            self._experiment(path)
        else:
            self._load(path, item, file)
        item["well"] = len(self.findings) == before
        return item

    def inside(self, file: str, suffixes: tuple[str, ...], name: str) -> Path | None:
        """The file of a name, if it lies in the folder; a finding if not."""
        try:
            path = (self.base / file).resolve()
            outside = not path.is_relative_to(self.base) or file.startswith("/")
            there = not outside and path.is_file()
        except (OSError, ValueError):
            outside, there, path = False, False, self.base
        if outside:
            self.wrong(f"'{file}' lies outside of the folder of {self.name}", file, name)
        elif not file.endswith(suffixes):
            self.wrong(f"'{file}' is no {' or '.join(suffixes)} file", file, name)
        elif not there:
            near = did_you_mean(file, self._files(suffixes))
            self.wrong(f"there is no file '{file}'.{near}", file, name, "unknown-name")
        else:
            return path
        return None

    def _files(self, suffixes: tuple[str, ...]) -> list[str]:
        """Some that there are, to guess which one was meant."""
        found: list[str] = []
        for path in self.base.rglob("*"):
            if path.name.endswith(suffixes) and len(found) < 500:
                found.append(path.relative_to(self.base).as_posix())
            if len(found) >= 500:
                break
        return found

    def _experiment(self, path: Path) -> None:
        """Its text; its scenarios are code, and are loaded later."""
        from rascal.experiment.reading import read_experiment

        try:
            read_experiment(str(path))
        except RascalError as error:
            self._others(error)

    def _load(self, path: Path, item: dict[str, Any], file: Any) -> None:
        values = item["values"]
        try:
            if path.suffix != ".py":
                written = read_load_file(str(path))
                scenarios = written.pop("scenarios", None)
                main = self._main(path, scenarios)
                if main is None:
                    return
                item["of"], item["file"] = item["file"], main
                item["values"] = {**{str(k): _plain(v) for k, v in written.items()}, **values}
        except ConfigErrors as error:
            self._others(error)
            return
        if not any(name in item["values"] for name in LOAD):
            text = (
                f"how much load for {file}? beside 'file' write rate: 20/s and for: 60s, users and "
                "for, or a profile; or name a load file (.yml) that says it"
            )
            self.wrong(text, file, "scenarios")

    def _main(self, path: Path, scenarios: Any) -> str | None:
        """The scenario file of a load file."""
        shown = path.relative_to(self.base).as_posix()
        text = ""
        if not isinstance(scenarios, str) or not scenarios.strip():
            text = "scenarios: which file? write scenarios: shop.py"
        else:
            main = (path.parent / scenarios).resolve()
            if not main.is_relative_to(self.base):
                text = f"'{scenarios}' lies outside of the folder of {self.name}"
            elif main.suffix != ".py" or not main.is_file():
                text = f"there is no scenario file '{scenarios}' beside {shown}"
            else:
                return main.relative_to(self.base).as_posix()
        self.findings.append(ConfigError(text, path=shown, option="scenarios", **place(scenarios)))
        return None

    def _others(self, error: RascalError) -> None:
        """Findings of other files, named from here."""
        for one in error.findings if isinstance(error, ConfigErrors) else (error,):
            if isinstance(one, ConfigError):
                self.findings.append(named_from(one, self.base))
            else:
                self.findings.append(ConfigError(str(one), path=self.name))


def named_from(error: ConfigError, base: Path) -> ConfigError:
    """A finding whose file is named from the folder."""
    path = error.path or ""
    if path.startswith(str(base)):
        path = path[len(str(base)) :].lstrip("/")
    return ConfigError(
        error.message, path=path or None, line=error.line, column=error.column,
        option=error.option, code=error.code,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Without places."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Text) else value


def read_job(folder: str) -> dict[str, Any]:
    """What the folder wants: rascal.yml, or else an old .marteau.yml.

    Returns the job, with "file", "text" (of the file), "findings" and "notes".
    """
    from rascal.panel.job_old import read_old

    base = Path(folder)
    name = FILE
    if not (base / FILE).exists() and (base / OLD).exists():
        name = OLD
    reader = JobFile(folder, name)
    notes: list[dict[str, str]] = []
    made = reader.read() if name == FILE else None
    if made is None:
        made, notes = read_old(reader)
    if not (base / name).exists():
        text = f"there is no {FILE} in it: write one that names experiments or scenarios"
        reader.findings[:] = [ConfigError(text, path=FILE)]
    return {
        **made,
        "file": name,
        "text": shown_text(base / name),
        "notes": notes,
        "findings": [finding(one) for one in reader.findings[:100]],
    }


def shown_text(path: Path) -> str:
    """The text of the file, as far as it is shown."""
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def finding(error: ConfigError) -> dict[str, Any]:
    """As pages show it."""
    found = {
        "message": error.message,
        "file": error.path,
        "line": error.line,
        "column": error.column,
        "option": error.option,
        "code": error.code,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}
