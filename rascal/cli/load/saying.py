"""What `--once` prints of requests, replies, checks and ends, and keeps for --json.

Secrets are masked, as in samples of failed calls.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from rascal.cli.output import say, tick, width
from rascal.load.masking import mask_body, mask_head, mask_text, mask_url
from rascal.load.types import SERVED, Call
from rascal.report.words import time_text

BODY_LINES = 6
BODY_BYTES = 2048
SHOWN = ("params", "json", "data", "headers", "timeout")
TEXTS = ("text/", "application/json", "application/xml", "+json", "+xml", "urlencoded", "script")


class Teller:
    """Prints as things happen. `quiet` only keeps them."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.iterations: list[dict[str, Any]] = []
        self._quiet = quiet
        self._calls: list[dict[str, Any]] = []
        self._said: set[int] = set()

    def data(self) -> dict[str, Any]:
        """For programs: calls of set-ups, and iterations with theirs."""
        return {"set_up": self._calls, "iterations": self.iterations}

    # ---- iterations

    def begin(self, scenario: str) -> None:
        """One iteration begins."""
        self._say("")
        self._say(click.style(scenario, bold=True))
        self.iterations.append({"scenario": scenario, "calls": []})

    def end(self, scenario: str, outcome: str, detail: str, took: float) -> None:
        """It has ended."""
        self.iterations[-1] |= {"outcome": outcome, "detail": detail, "seconds": took}
        good = outcome == SERVED
        mark = click.style(tick(good), fg="green" if good else "red", bold=True)
        text = (
            "went well" if good else f"ended early: {outcome}" + (f": {detail}" if detail else "")
        )
        self._say(f"{mark} {scenario} {text}, in {time_text(took)}")

    # ---- requests

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Of the iteration under way; before the first one those of set-ups."""
        if self.iterations and "outcome" not in self.iterations[-1]:
            found: list[dict[str, Any]] = self.iterations[-1]["calls"]
            return found
        return self._calls

    def sent(self, method: str, url: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """A request goes out; gives what is known of it, for its reply."""
        name = given.get("name") or ""
        url = mask_url(url)
        call: dict[str, Any] = {"method": method, "url": url, "name": name, "checks": []}
        self.calls.append(call)
        self._say(click.style(f"{method} {url}", fg="cyan") + (f"  {name}" if name else ""))
        for word in SHOWN:
            if given.get(word):
                self.line(f"{word} {_short(_masked(given[word]))}")
        return call

    def came(self, call: dict[str, Any], response: Any) -> None:
        """Its reply is there."""
        kind = _header(response, "content-type")
        size = len(response._body)
        took = response.timings.total
        call |= {
            "url": mask_url(response.url),
            "status": response.code,
            "seconds": took,
            "bytes": size,
        }
        for before in response.history():
            self.line(f"{before.code} redirects to {mask_url(_header(before, 'location'))}")
        colour = "green" if response.code < 400 else "red"
        status = click.style(str(response.code), fg=colour, bold=True)
        what = f"{_size(size)}" + (f" of {kind.partition(';')[0]}" if kind else "")
        new = "" if not response.timings.connect else ", new connection"
        self.line(f"{status} in {time_text(took)}  {what}{new}")
        for text in response.headers.getRawHeaders(b"set-cookie") or ():
            self.line(f"sets cookie {_cookie(text)}")
        self._body(response, kind)

    def _body(self, response: Any, kind: str) -> None:
        if self._quiet or not response._body or not any(one in kind for one in TEXTS):
            return
        try:
            body = response.body
            text = mask_body(body[:BODY_BYTES], f"content-type: {kind.lower()}", len(body))
        except Exception as error:  # a body that cannot be decoded is an outcome of its own
            self.line(f"body: {error}")
            return
        lines = [line for line in text.splitlines() if line.strip()]
        room = max(40, width() - 4)
        for line in lines[:BODY_LINES]:
            self.line(click.style(textwrap.shorten(line, 10_000)[:room], dim=True))
        if len(lines) > BODY_LINES:
            self.line(click.style("…", dim=True))

    def failed(self, call: dict[str, Any], error: BaseException) -> None:
        """No usable reply came."""
        text = mask_text(str(error))
        call |= {"status": None, "error": text}
        self.line(click.style(text or type(error).__name__, fg="red"))

    def checked(self, found: Sequence[tuple[str, Any, str]]) -> None:
        """What a check found, keyword by keyword."""
        calls = self.calls
        texts = []
        for name, value, problem in found:
            if calls:
                calls[-1]["checks"].append(
                    {"check": name, "wanted": _short(value), "problem": problem}
                )
            mark = click.style(tick(not problem), fg="red" if problem else "green")
            texts.append(f"{mark} {name}={_short(value)}" + (f": {problem}" if problem else ""))
        self.line("  ".join(texts))

    def done(self, call: Call) -> None:
        """A call was counted."""
        if self.calls:
            self.calls[-1].setdefault("outcome", call.outcome)
            self.calls[-1]["outcome"] = call.outcome
        if call.lane == "other":
            took = time_text(call.ended - call.started)
            self._say(f"{click.style(call.flow.name, fg='cyan')}  {call.outcome} in {took}")
        elif call.outcome != SERVED or call.attempts > 1:
            tries = f" after {call.attempts} attempts" if call.attempts > 1 else ""
            detail = f": {call.detail}" if call.detail else ""
            self.line(f"counts as {call.outcome}{tries}{detail}")
        if call.lane == "treq":
            self.line("by stock treq: not on the fast lane")

    def event(self, kind: str, text: str, data: Mapping[str, Any]) -> None:
        """Something for the timeline: user.log(), an exception in user code."""
        self._say(click.style(text, fg="red") if kind == "error" else f"  {text}")
        for line in data.get("traceback", ()):
            self.line(line)

    # ---- lines

    def line(self, text: str) -> None:
        """Below a request."""
        self._say(f"  {text}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            say(text)


def _header(response: Any, name: str) -> str:
    values = response.headers.getRawHeaders(name.encode()) or [b""]
    value: bytes = values[0]
    return value.decode("utf-8", "replace")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _plain(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _plain(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def _cookie(text: Any) -> str:
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return mask_head(["", f"Set-Cookie: {text.partition(';')[0]}"]).partition(": ")[2]


def _masked(value: Any) -> str:
    """What a request is given (headers, parameters, a body), without its secrets."""
    plain = _texts(value)
    return mask_text(plain if isinstance(plain, str) else _plain(plain))


def _texts(value: Any) -> Any:
    """With texts in place of bytes, and mappings in place of headers and pairs."""
    if hasattr(value, "getAllRawHeaders"):
        value = {name: list(several) for name, several in value.getAllRawHeaders()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {_texts(name): _texts(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        if value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
            return [{_texts(name): _texts(one)} for name, one in value]
        return [_texts(one) for one in value]
    return value


def _size(count: int) -> str:
    for size, unit in ((10**6, "MB"), (10**3, "KB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
