"""Relative paths of a file in another folder, as they are written from the project's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rascal.wrapping.merging import build, listed
from rascal.wrapping.yamlfile import Block, Items, Text, is_null

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|git@|[\w.-]+:[\w./-]+\.git|github\.com/|docker-image:")
_ABSOLUTE = ("/", "~", "\\\\")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


class Rebase:
    """From one folder to another.

    Args:
        source: the folder that the paths are relative to.
        target: the folder that they are to be relative to.
        read: a text with the values of its variables.
    """

    def __init__(self, source: Path, target: Path, read: Callable[[str], str] = str) -> None:
        self.relative = os.path.relpath(source.resolve(), target.resolve())
        self.read = read

    def path(self, value: Any) -> Any:
        """A path of a file or folder."""
        if self.relative == "." or not isinstance(value, str) or is_null(value):
            return value
        meant = self.read(value)
        if meant.startswith(_ABSOLUTE) or _WINDOWS.match(meant) or _URL.match(meant):
            return value
        joined = os.path.join(self.relative, value.removeprefix("./"))
        if "$" not in joined:
            joined = os.path.normpath(joined)
        if not joined.startswith((".", "/")):
            joined = f"./{joined}"
        return Text.of(joined, value)

    def volume(self, value: Any) -> Any:
        """A mount; names of volumes stay."""
        if isinstance(value, dict):
            if str(value.get("type", "")) == "bind" and "source" in value:
                return Block.of({**value, "source": self.path(value["source"])}, value)
            return value
        source, colon, rest = str(value).partition(":")
        if "${" in source and "}" not in source:  # ${DATA:-./data}:/data
            at = _after_variable(str(value))
            source, colon, rest = str(value)[:at], str(value)[at : at + 1], str(value)[at + 1 :]
        if colon and self.read(source).startswith("."):
            return Text.of(f"{self.path(Text.of(source, value))}:{rest}", value)
        return value

    def service(self, service: Any) -> Any:
        """All paths of a service."""
        if self.relative == "." or not isinstance(service, dict):
            return service
        found = Block.of(service, service)
        if "build" in found:
            made = build(found["build"])
            if "context" in made or "dockerfile_inline" not in made:
                made["context"] = self.path(made.get("context", Text.of(".", made, "")))
            contexts = made.get("additional_contexts")
            if isinstance(contexts, dict):
                rebased = {name: self.path(one) for name, one in contexts.items()}
                made["additional_contexts"] = Block.of(rebased, contexts)
            found["build"] = made
        for name in ("env_file", "label_file"):
            if name in found:
                found[name] = Items.of(map(self._env_file, listed(found[name])), found[name])
        if isinstance(found.get("volumes"), list):
            found["volumes"] = Items.of(map(self.volume, found["volumes"]), found["volumes"])
        extends = found.get("extends")
        if isinstance(extends, dict) and "file" in extends:
            found["extends"] = Block.of({**extends, "file": self.path(extends["file"])}, extends)
        return found

    def top(self, whole: Block) -> Block:
        """All paths of a file."""
        if self.relative == ".":
            return whole
        found = Block.of(whole, whole)
        services = whole.get("services")
        if isinstance(services, dict):
            rebased = {name: self.service(one) for name, one in services.items()}
            found["services"] = Block.of(rebased, services)
        for section in ("configs", "secrets"):
            several = whole.get(section)
            if isinstance(several, dict):
                rebased = {name: self._file(one) for name, one in several.items()}
                found[section] = Block.of(rebased, several)
        return found

    def _env_file(self, value: Any) -> Any:
        if isinstance(value, dict):
            return Block.of({**value, "path": self.path(value.get("path"))}, value)
        return self.path(value)

    def _file(self, value: Any) -> Any:
        if isinstance(value, dict) and "file" in value:
            return Block.of({**value, "file": self.path(value["file"])}, value)
        return value


def _after_variable(text: str) -> int:
    """Where the first colon outside of ${…} is; the end if there is none."""
    depth = 0
    for index, one in enumerate(text):
        if one == "{" and text[index - 1 : index] == "$":
            depth += 1
        elif one == "}" and depth:
            depth -= 1
        elif one == ":" and not depth:
            return index
    return len(text)
