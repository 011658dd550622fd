"""A book: a scenario file as it was loaded, with everything that it declares and needs.

    book = load_book("shop.py", {"catalogue_size": "20"})      # from its folder
    book = load_bundle(book.files, "shop.py", values)          # on an agent: from memory

Loading runs the file. Whatever is wrong with it, all of it is raised as ConfigErrors that name
file and line.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from rascal.errors import ConfigError, ConfigErrors, did_you_mean, listed
from rascal.load.collecting import Collector, collecting
from rascal.load.feeders import Feeder
from rascal.load.hooks import Hook
from rascal.load.modules import Folder, Memory, Modules
from rascal.load.parameters import Option
from rascal.load.scenario import Scenario


@attrs.define(kw_only=True, eq=False)
class Book:
    """Everything a scenario file declares."""

    main: str
    """Its name among the files."""
    scenarios: dict[str, Scenario]
    parameters: dict[str, Option]
    feeders: tuple[Feeder, ...] = ()
    hooks: tuple[Hook, ...] = ()
    files: dict[str, bytes] = attrs.field(repr=False)
    """What an agent needs: the file, modules beside it that it imports, its data files."""
    modules: Modules = attrs.field(repr=False)
    user_hooks: tuple[Hook, ...] = attrs.field(init=False, repr=False)
    _odds: dict[tuple[str, ...], list[tuple[float, Scenario]]] = attrs.field(
        init=False, factory=dict, repr=False
    )

    def __attrs_post_init__(self) -> None:
        self.user_hooks = tuple(hook for hook in self.hooks if hook.when == "user")

    def pick(self, names: tuple[str, ...], draw: float) -> Scenario:
        """One of the scenarios by weight; `draw` is in [0, 1)."""
        if len(names) == 1:
            return self.scenarios[names[0]]
        odds = self._odds.get(names)
        if odds is None:
            odds = self._odds[names] = self._cumulate(names)
        for limit, scenario in odds:
            if draw < limit:
                return scenario
        return odds[-1][1]

    def _cumulate(self, names: Iterable[str]) -> list[tuple[float, Scenario]]:
        chosen = [self.scenarios[name] for name in names]
        total = sum(scenario.weight for scenario in chosen)
        odds, so_far = [], 0.0
        for scenario in chosen:
            so_far += scenario.weight
            odds.append((so_far / total, scenario))
        return odds

    def chosen(self, names: Iterable[str] = (), tags: Iterable[str] = ()) -> tuple[str, ...]:
        """The scenarios of these names or with one of these tags; all if neither is given.

        Raises:
            ConfigErrors: a name or tag that the file does not have.
        """
        names, tags = list(names), list(tags)
        known = {tag for scenario in self.scenarios.values() for tag in scenario.tags}
        findings = [
            ConfigError(
                f"{self.main} has no {what} '{word}'; {what}s: {listed(sorted(allowed))}."
                f"{did_you_mean(word, allowed)}",
                value=word,
                allowed=sorted(allowed),
            )
            for what, words, allowed in (
                ("scenario", names, self.scenarios.keys()),
                ("tag", tags, known),
            )
            for word in words
            if word not in allowed
        ]
        if findings:
            raise ConfigErrors(findings)
        return tuple(
            name
            for name, scenario in self.scenarios.items()
            if not (names or tags) or name in names or set(tags) & set(scenario.tags)
        )

    def place(self, error: BaseException) -> str:
        """Where in the book's own code an exception arose, as file:line; "" if nowhere."""
        found = last_line(error, self.modules.paths)
        return f"{found[0]}:{found[1]}" if found else ""

    def unload(self) -> None:
        """Forget the book's modules. Its scenarios must not run any more."""
        self.modules.forget()


def load_book(
    path: str | os.PathLike[str],
    values: Mapping[str, Any] | None = None,
    extra: Iterable[str] = (),
) -> Book:
    """Load a scenario file.

    Args:
        path: the file.
        values: of its options, as texts or as JSON holds them.
        extra: names of further files beside it that belong to it, such as an arrival log.

    Raises:
        ConfigErrors: all that is wrong with it.
    """
    file = Path(path)
    shown = str(path)[: len(str(path)) - len(file.name)]
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ConfigErrors([ConfigError(f"the scenario file {what}", path=str(path))])
    return _load(Modules(Folder(file.parent), shown), file.name, values or {}, extra)


def load_bundle(
    files: Mapping[str, bytes], main: str, values: Mapping[str, Any] | None = None
) -> Book:
    """Load a scenario file from the files of a bundle, as `Book.files` holds them."""
    if main not in files:
        raise ConfigErrors([ConfigError(f"the bundle has no file '{main}'", allowed=list(files))])
    return _load(Modules(Memory(files)), main, values or {}, files)


def look(path: str | os.PathLike[str]) -> Collector:
    """What a scenario file declares, be it whole or not; what is wrong is among its findings."""
    file = Path(path)
    modules = Modules(Folder(file.parent), str(path)[: len(str(path)) - len(file.name)])
    try:
        return _collected(modules, file.name, {}, ())
    finally:
        modules.forget()


def _collected(
    modules: Modules, main: str, values: Mapping[str, Any], extra: Iterable[str]
) -> Collector:
    found = Collector(files=modules.files, shown=modules.shown, values=values)
    collecting(found, lambda: _guarded(lambda: modules.load(main), found, modules, main))
    for name in extra:
        _take(found, name)
    _check_whole(found, modules.shown + main)
    return found


def _load(modules: Modules, main: str, values: Mapping[str, Any], extra: Iterable[str]) -> Book:
    try:
        found = _collected(modules, main, values, extra)
        if found.findings:
            raise ConfigErrors(found.findings)
    except BaseException:
        modules.forget()
        raise
    return Book(
        main=main,
        scenarios=found.scenarios,
        parameters=found.parameters,
        feeders=tuple(found.feeders),
        hooks=tuple(found.hooks),
        files={**modules.sources, **found.data},
        modules=modules,
    )


def _take(found: Collector, name: str) -> None:
    try:
        content = found.files.read(name)
    except ConfigError as error:
        found.findings.append(error)
        return
    if content is None:
        said = f"there is no file '{name}' beside the scenario file."
        near = did_you_mean(name, found.files.names(name))
        found.findings.append(ConfigError(said + near, value=name, code="file-missing"))
        return
    found.data[os.path.normpath(name)] = content


def _check_whole(found: Collector, path: str) -> None:
    for name in found.values:
        if name not in found.parameters and not found.findings:
            found.findings.append(
                ConfigError(
                    f"there is no option '{name}'; options: {listed(found.parameters)}."
                    f"{did_you_mean(name, found.parameters)}",
                    path=path,
                    option=name,
                    allowed=found.parameters,
                    code="unknown-option",
                )
            )
    if not found.scenarios and not found.findings:
        found.findings.append(
            ConfigError(
                'there is no scenario: write @scenario("name") above an async def name(user)',
                path=path,
                code="no-scenario",
            )
        )


def _guarded(work: Callable[[], Any], found: Collector, modules: Modules, main: str) -> None:
    """Run the file; turn what its code raises into a finding."""
    try:
        work()
    except SyntaxError as error:
        path = error.filename or modules.shown + main
        found.findings.append(ConfigError(error.msg, path=path, line=error.lineno, code="syntax"))
    except ConfigErrors as errors:
        found.findings.extend(errors.findings)
    except ConfigError as error:
        if error.path is None:
            error.path, error.line = _where(error, modules, main)
        found.findings.append(error)
    except (Exception, SystemExit) as error:
        path, number = _where(error, modules, main)
        found.findings.append(ConfigError(_said(error, modules), path=path, line=number))


def _said(error: BaseException, modules: Modules) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.removeprefix(modules.package + ".")
        beside = [
            entry.removesuffix(".py") for entry in modules.files.names("") if entry.endswith(".py")
        ]
        return (
            f"there is no module '{name}', neither beside the scenario file nor installed"
            f".{did_you_mean(name, beside)}"
        )
    text = str(error).replace(modules.package + ".", "").replace("\n", " ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: BaseException, modules: Modules, main: str) -> tuple[str, int | None]:
    found = last_line(error, dict.fromkeys(modules.paths), modules.shown)
    return found if found else (modules.shown + main, None)


def last_line(
    error: BaseException, paths: Mapping[str, str | None], shown: str = ""
) -> tuple[str, int] | None:
    """The innermost line of the book's code in an exception's traceback."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_code.co_filename
        if name in paths:
            return paths[name] or name, line
    return None
