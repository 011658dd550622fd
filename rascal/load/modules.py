"""Scenario files as Python modules of one book, from a folder or from memory.

Every book's modules live under a name of their own (`_rascal_book_3.shop`), so two runs in one
process never share a module. In a scenario file `import helpers` means the file beside it: its
modules get an `__import__` that looks there first. What is imported that way is noted; it
travels with the scenario file.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import os
import posixpath
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rascal.errors import ConfigError
from rascal.load.collecting import Files

MAX_BYTES = 32 << 20
"""Of all files of a book together."""
MAX_FILES = 500
_numbers = itertools.count(1)


class Folder:
    """Files below the folder of a scenario file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = root.resolve()
        self._bytes = 0
        self._read: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """The content of a file below the folder, None if there is none."""
        name = os.path.normpath(name)
        if name in self._read:
            return self._read[name]
        path = self._below(name)
        if not path.is_file():
            return None
        try:
            size = path.stat().st_size
            if self._bytes + size > MAX_BYTES:
                raise ConfigError(
                    f"with '{name}' the scenario's files are {self._bytes + size:,} bytes; "
                    f"{MAX_BYTES:,} may travel to agents",
                    code="too-large",
                )
            if len(self._read) >= MAX_FILES:
                raise ConfigError(f"a scenario has {MAX_FILES} files at most", code="too-large")
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read '{name}': {error.strerror}", value=name) from None
        self._bytes += len(content)
        self._read[name] = content
        return content

    def _below(self, name: str) -> Path:
        path = self.root / name
        if not path.resolve().is_relative_to(self._real):
            raise ConfigError(
                f"'{name}' is outside the scenario's folder; only files below "
                f"{self.root or '.'} travel to agents",
                value=name,
                code="outside",
            )
        return path

    def has(self, name: str) -> bool:
        """Is there a file of this name? Reads nothing."""
        return (self.root / name).is_file()

    def names(self, near: str) -> list[str]:
        """Files in the folder that `near` would be in."""
        part = posixpath.dirname(near)
        try:
            return [posixpath.join(part, entry) for entry in os.listdir(self.root / part)]
        except OSError:
            return []


class Memory:
    """Files of a bundle."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def read(self, name: str) -> bytes | None:
        """The content of a file of the bundle."""
        return self._files.get(posixpath.normpath(name))

    def has(self, name: str) -> bool:
        """Is it in the bundle?"""
        return name in self._files

    def names(self, near: str) -> list[str]:
        """All names of the bundle."""
        return list(self._files)


class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds, loads and remembers the modules of one book.

    Args:
        files: where sources come from.
        shown: what stands before a file's name in tracebacks and messages.
    """

    def __init__(self, files: Files, shown: str = "") -> None:
        self.files = files
        self.shown = shown
        self.package = f"_rascal_book_{next(_numbers)}"
        self.sources: dict[str, bytes] = {}
        """Sources by file name, imported or only mentioned in an import."""
        self.paths: dict[str, str] = {}
        """File names by what tracebacks call them."""
        self._builtins = dict(vars(builtins))
        self._builtins["__import__"] = self._import
        self._main = ("", "")

    def load(self, main: str) -> types.ModuleType:
        """Load the scenario file `main`; raises what its code raises."""
        stem = main.removesuffix(".py").replace(".", "_")
        self._main = (stem, main)
        root = types.ModuleType(self.package)
        root.__path__ = [""]
        sys.modules[self.package] = root
        sys.meta_path.insert(0, self)
        return importlib.import_module(f"{self.package}.{stem}")

    def forget(self) -> None:
        """Take the book's modules out of the interpreter's tables."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]

    def line(self, path: str, number: int) -> str:
        """A line of source. (linecache would mix up books whose files have the same name.)"""
        lines = self.sources.get(self.paths.get(path, ""), b"").splitlines()
        return lines[number - 1].decode("utf-8", "replace").strip() if number <= len(lines) else ""

    # ---- finder and loader

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of this book."""
        if not fullname.startswith(self.package + "."):
            return None
        name = self._file(fullname[len(self.package) + 1 :])
        if name is None:
            return None
        packaged = name.endswith("__init__.py")
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=self.shown + name, is_package=packaged or not name
        )
        spec.loader_state = name
        return spec

    def _file(self, dotted: str) -> str | None:
        """The file of a module; "" for a folder without __init__.py that holds some."""
        if dotted == self._main[0]:
            return self._main[1]
        stem = dotted.replace(".", "/")
        for name in (f"{stem}.py", f"{stem}/__init__.py"):
            if self.files.has(name):
                return name
        return "" if any(entry.endswith(".py") for entry in self._inside(stem)) else None

    def _inside(self, stem: str) -> list[str]:
        return [
            entry
            for entry in self.files.names(f"{stem}/x")
            if entry.startswith(f"{stem}/") and "/" not in entry[len(stem) + 1 :]
        ]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """The usual kind of module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a module's source with our `__import__`."""
        spec = module.__spec__
        assert spec is not None
        name = spec.loader_state
        module.__dict__["__builtins__"] = self._builtins
        if not name:
            return
        tree = self._parse(name)
        module.__file__ = self.shown + name
        for mentioned in _mentioned(tree, name):
            self._note(mentioned)
        # The file is the user's own scenario, which it is our task to run.
        exec(compile(tree, self.shown + name, "exec"), module.__dict__)

    def get_source(self, fullname: str) -> str | None:
        """For the lines in tracebacks."""
        spec = getattr(sys.modules.get(fullname), "__spec__", None)
        content = self.sources.get(spec.loader_state) if spec else None
        return None if content is None else content.decode("utf-8", "replace")

    def _parse(self, name: str) -> ast.Module:
        content = self._note(name)
        return ast.parse(content, self.shown + name)

    def _note(self, name: str) -> bytes:
        if name not in self.sources:
            content = self.files.read(name)
            if content is None:
                return b""
            self.sources[name] = content
            self.paths[self.shown + name] = name
            if name.endswith(".py"):
                try:
                    tree = ast.parse(content)
                except (SyntaxError, ValueError):
                    return content  # whoever imports it will say so
                for mentioned in _mentioned(tree, name):
                    self._note(mentioned)
        return self.sources[name]

    # ---- import statements of the book's modules

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        top = name.partition(".")[0]
        if level == 0 and self._mine(top):
            module = importlib.import_module(f"{self.package}.{name}")
            if fromlist:
                for part in fromlist:
                    if part != "*" and not hasattr(module, part) and hasattr(module, "__path__"):
                        self._submodule(f"{module.__name__}.{part}")
                return module
            return sys.modules[f"{self.package}.{top}"]
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    def _mine(self, top: str) -> bool:
        """Does this name mean a file of the book? As with Python, a mere folder comes last."""
        if top == "rascal":
            return False
        found = self._file(top)
        return bool(found) or (found == "" and importlib.util.find_spec(top) is None)

    def _submodule(self, name: str) -> None:
        if self.find_spec(name, None) is not None:
            importlib.import_module(name)


def _mentioned(tree: ast.AST, name: str) -> list[str]:
    """Files that the imports of a module could mean, whether they are there or not."""
    here = posixpath.dirname(name)
    stems: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            stems += [alias.name.replace(".", "/") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").replace(".", "/")
            if node.level:
                up = here
                for _ in range(node.level - 1):
                    up = posixpath.dirname(up)
                base = posixpath.join(up, base).rstrip("/")
            stems.append(base)
            stems += [posixpath.join(base, alias.name) for alias in node.names]
    found: list[str] = []
    for stem in stems:
        parts = stem.split("/")
        found += [posixpath.join(*parts[:end], "__init__.py") for end in range(1, len(parts) + 1)]
        found.append(f"{stem}.py")
    return [entry for entry in dict.fromkeys(found) if not entry.startswith("rascal/")]
