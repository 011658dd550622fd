"""Compose files to one description of a project, as `docker compose` would take them together.

What `docker compose config` does, without Docker, and with one difference: variables stay where
they are written, so that no secret of the environment ends up in another file. Values are put in
only to see what a service is (rascal.wrapping.shapes).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.wrapping.dotenv import read_env
from rascal.wrapping.interpolation import Variables, escaped
from rascal.wrapping.merging import Merger, listed
from rascal.wrapping.paths import Rebase
from rascal.wrapping.versions import is_first, modern
from rascal.wrapping.yamlfile import Block, Items, Text, is_null, kind_of, read, wrong

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""What `docker compose` looks for, in this order."""
OVERRIDES = tuple(f"{stem}.override.{end}" for stem, end in (n.split(".") for n in NAMES))
DEEP = 20
"""Files that name files that name files."""


@attrs.frozen(kw_only=True)
class Source:
    """The files as they were given, merged."""

    files: tuple[str, ...]
    folder: Path
    """The project's folder: paths are relative to it."""
    top: Block
    """All of it, merged; variables are not replaced."""
    variables: Variables
    notes: tuple[str, ...] = ()


def chosen(path: str | None, files: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The files that are meant: those of -f, else a file or folder with its override.

    Raises:
        ConfigError: there is no such file.
    """
    if files:
        return list(files)
    if path is None or Path(path).is_dir():
        folder = Path(path or ".")
        around = environment(folder, environ)
        if around.get("COMPOSE_FILE"):
            names = around["COMPOSE_FILE"].split(around.get("COMPOSE_PATH_SEPARATOR", os.pathsep))
            return [str(folder / name) for name in names if name]
        found = next((folder / name for name in NAMES if (folder / name).is_file()), None)
        if found is None:
            raise ConfigError(
                f"there is no Compose file in {folder.resolve()}; names: {', '.join(NAMES)}. "
                "Name one, or servers: rascal wrap db=mysql://10.0.0.5:3306"
            )
        path = str(found)
    own = Path(path)
    if own.name in NAMES:
        beside = [own.with_name(name) for name in OVERRIDES]
        override = next((one for one in beside if one.is_file()), None)
        if override is not None:
            return [path, str(override)]
    return [path]


def environment(
    folder: Path, environ: Mapping[str, str], env_files: Sequence[str] = ()
) -> dict[str, str]:
    """The values of variables: those of .env (or the files named), and above them the shell's."""
    found: dict[str, str] = {}
    default = folder / ".env"
    for name in env_files or ([str(default)] if default.is_file() else []):
        found |= read_env(Path(name), name, {**found, **environ})
    return {**found, **environ}


def read_project(
    files: Sequence[str], environ: Mapping[str, str], *, env_files: Sequence[str] = ()
) -> Source:
    """Read and merge. Raises ConfigErrors."""
    folder = Path(files[0]).parent
    try:
        values = environment(folder, environ, env_files)
    except ConfigError as error:
        raise ConfigErrors([error]) from error
    reader = _Reader(folder, values)
    top = Block()
    for path in files:
        top = reader.merger.files(top, reader.file(Path(path), path, 0))
    if reader.findings:
        raise ConfigErrors(reader.findings)
    if not isinstance(top.get("services"), dict) or not top["services"]:
        raise ConfigErrors([ConfigError("no services stand here", path=files[0])])
    return Source(
        files=tuple(files),
        folder=folder,
        top=top,
        variables=reader.variables,
        notes=tuple(reader.notes),
    )


class _Reader:
    """Collects findings while it reads the files of one project."""

    def __init__(self, folder: Path, values: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = Variables(values)
        self.findings = self.variables.findings
        self.merger = Merger(Variables(values).text)
        self.notes: list[str] = []
        self._files: dict[Path, Block] = {}

    def file(self, path: Path, shown: str, depth: int) -> Block:
        """One file with what it includes, its services with what they extend."""
        top = self._text(path, shown)
        services = top.get("services")
        if not is_null(services) and not isinstance(services, dict):
            self.findings.append(
                wrong(f"services are 'name: value' lines, found {kind_of(services)}", services)
            )
            top["services"] = services = Block()
        if isinstance(services, dict):
            found = {
                name: self.service(name, services, path.parent, self.folder, ())
                for name in services
            }
            top["services"] = Block.of(found, services)
        included = Block()
        for item in listed(top.pop("include", None)):
            included = self.merger.files(included, self.included(item, self.folder, depth))
        return self.merger.files(included, top) if included else top

    def _text(self, path: Path, shown: str) -> Block:
        """The top of a file, a copy; in today's form, if it is old."""
        key = path.resolve()
        if key not in self._files:
            try:
                text = path.read_text("utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is not UTF-8"
                finding = ConfigError(f"cannot be read: {why}", path=shown)
                raise ConfigErrors([*self.findings, finding]) from error
            top = read(text, shown)
            if not isinstance(top, Block):
                message = "a Compose file is 'name: value' lines: services at least"
                raise ConfigErrors([*self.findings, ConfigError(message, path=shown)])
            if is_first(top):
                top = modern(top)
                self.notes.append(
                    f"{shown} is of the first version of Compose files: written in today's form"
                )
            self._files[key] = top
        found = self._files[key]
        return Block.of(found, found)

    # ---- extends

    def service(
        self, name: str, services: Any, file: Path, base: Path, seen: tuple[Any, ...]
    ) -> Any:
        """A service with what it extends; paths are as they stand, relative to `base`.

        Args:
            file: the folder of the file that it stands in.
            base: the folder that paths in this file are relative to.
            seen: what extends this, to find circles.
        """
        own = services[name]
        if is_null(own):
            return Block.of((), name)
        if not isinstance(own, dict):
            self.findings.append(
                wrong(f"the service '{name}' is 'name: value' lines, found {kind_of(own)}", own)
            )
            return Block.of((), own)
        if "extends" not in own:
            return own
        extends = own["extends"]
        mine = Block.of({key: value for key, value in own.items() if key != "extends"}, own)
        here = (file.resolve(), str(name))
        if here in seen or len(seen) > DEEP:
            self.findings.append(wrong(f"'{name}' extends itself in the end", extends))
            return mine
        other = extends.get("service", name) if isinstance(extends, dict) else extends
        where = extends.get("file") if isinstance(extends, dict) else None
        if is_null(where):
            folder, from_services, base_of = file, services, base
        else:
            named = self.variables.text(str(where))
            path = file / named if (file / named).is_file() else self.folder / named
            folder = base_of = path.parent
            if not path.is_file():
                self.findings.append(wrong(f"there is no file {path} to extend from", where))
                return mine
            from_services = self._text(path, str(path)).get("services") or Block()
        if other not in from_services:
            hint = did_you_mean(str(other), from_services)
            self.findings.append(wrong(f"there is no service '{other}' to extend.{hint}", other))
            return mine
        found = self.service(other, from_services, folder, base_of, (*seen, here))
        if base_of != base:
            found = Rebase(base_of, base, self.merger.read).service(found)
        return self.merger.service(found, mine)

    # ---- include

    def included(self, item: Any, folder: Path, depth: int) -> Block:
        """Another project as a part of this one."""
        if depth > DEEP:
            raise ConfigErrors([*self.findings, wrong("files include each other", item)])
        given = item if isinstance(item, dict) else Block.of({"path": item}, item)
        paths = [folder / self.variables.text(one) for one in listed(given.get("path"))]
        if not paths:
            self.findings.append(wrong("what is included? write its path", item))
            return Block()
        project = given.get("project_directory")
        home = paths[0].parent if is_null(project) else folder / self.variables.text(str(project))
        env_files = [str(folder / self.variables.text(o)) for o in listed(given.get("env_file"))]
        try:
            values = environment(home, self.variables.values, env_files)
        except ConfigError as error:
            self.findings.append(error)
            return Block()
        inner = _Reader(home, values)
        found = Block()
        for path in paths:
            found = inner.merger.files(found, inner.file(path, str(path), depth + 1))
        self.findings += inner.findings
        self.notes += inner.notes
        if set(values) - set(self.variables.values):
            # It has variables of its own, which one file for all cannot have: their values it is.
            found = _fixed(found, inner.variables)
        return Rebase(home, folder, inner.merger.read).top(found)


def _fixed(value: Any, variables: Variables) -> Any:
    """The value with its variables replaced, and written so that nothing is replaced again."""
    if isinstance(value, dict):
        return Block.of({key: _fixed(one, variables) for key, one in value.items()}, value)
    if isinstance(value, list):
        return Items.of((_fixed(one, variables) for one in value), value)
    if isinstance(value, Text) and "$" in value:
        return Text.of(escaped(variables.text(value)), value)
    return value
