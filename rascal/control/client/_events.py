"""Server-sent events, read from bytes. No I/O.

    reader = EventReader()
    for event in reader.feed(data): …

WHATWG HTML, section 9.2: an event is lines `field: value` up to an empty line; a line that begins
with a colon is a comment, which keeps the connection warm. What is too long ends the reading.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rascal.control.client._access import Unreachable

LONGEST = 4 * 1024 * 1024
"""Bytes of one event; a snapshot of many proxies is long."""


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        id: resume after it: `events(after=event.id)`.
        kind: what it was.
        data: its facts.
    """

    id: str
    kind: str
    data: Any


class EventReader:
    """Makes events of a stream of bytes.

    Attributes:
        last: the id of the latest event; a new request resumes there.
    """

    def __init__(self, last: str = "") -> None:
        self.last = last
        self._rest = b""
        self._skip_newline = False
        self._kind = ""
        self._lines: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now. Raises Unreachable if one is too long."""
        self._rest += data
        found = []
        while (line := self._line()) is not None:
            event = self._read(line)
            if event is not None:
                found.append(event)
        if len(self._rest) + self._size > LONGEST:
            raise Unreachable("an event of the service is too long")
        return found

    def _line(self) -> str | None:
        rest = self._rest
        if self._skip_newline and rest:
            rest = rest.removeprefix(b"\n")
            self._skip_newline = False
        ends = [at for at in (rest.find(b"\n"), rest.find(b"\r")) if at >= 0]
        if not ends:
            self._rest = rest
            return None
        at = min(ends)
        self._skip_newline = rest[at] == 0x0D
        self._rest = rest[at + 1 :]
        return rest[:at].decode("utf-8", "replace")

    def _read(self, line: str) -> Event | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._lines.append(value)
            self._size += len(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self.last = value
        return None

    def _end(self) -> Event | None:
        kind, text = self._kind or "message", "\n".join(self._lines)
        lines, self._lines, self._kind, self._size = self._lines, [], "", 0
        if not lines:
            return None
        try:
            data = json.loads(text)
        except ValueError:
            data = text
        return Event(self.last, kind, data)
