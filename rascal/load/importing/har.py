"""HAR files (HTTP Archive 1.2), as the network panel of every browser saves them.

The requests of the host of the first page become one scenario, in their order, with the pauses
that the user made; what a browser loads by itself (images, styles, scripts, fonts) is left out
unless everything is asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rascal.errors import ConfigError
from rascal.load.importing.steps import (
    Recorded,
    Recording,
    Step,
    flow_name,
    kept_headers,
    on_target,
    origin_of,
)

STATIC = ("image/", "font/", "text/css", "application/javascript", "text/javascript", "video/",
          "audio/", "application/font", "application/x-font", "application/wasm")  # fmt: skip
LOADED = frozenset(("image", "stylesheet", "script", "font", "media", "manifest", "ping", "other"))
PAUSE = 0.3
"""A pause below it is the browser's, not the user's."""
LONGEST = 60.0


def read_har(path: str, data: Any, *, everything: bool = False) -> Recorded:
    """The steps of a recorded session."""
    log = _part(data, "log") if isinstance(data, dict) else {}
    entries = log.get("entries")
    if not isinstance(entries, list):
        raise ConfigError("this HAR file has no log.entries", path=path)
    entries = [entry for entry in entries if isinstance(entry, dict)]
    entries.sort(key=lambda entry: str(entry.get("startedDateTime", "")))
    wanted = [
        one for one in entries if _url(one).startswith("http") and (everything or not _static(one))
    ]
    target = origin_of(_url(wanted[0])) if wanted else ""
    left: Counter[str] = Counter()
    left["images, styles, scripts and the like"] = len(entries) - len(wanted)
    steps: list[Step] = []
    ended = 0.0
    for entry in wanted:
        if not everything and origin_of(_url(entry)) != target:
            left[f"requests to {origin_of(_url(entry))}"] += 1
            continue
        step, until = _step(path, entry, target, ended)
        ended = max(ended, until)
        if step is None:
            left["requests with multipart bodies"] += 1
            continue
        steps.append(step)
    notes = [f"left out: {count} {what}" for what, count in left.items() if count]
    if any(_cookies(entry) for entry in wanted):
        notes.append("cookies are kept as the target sets them: log in first, see once_per_user")
    recording = Recording(name="recorded", steps=tuple(steps), about=_about(log))
    return Recorded(recordings=(recording,), target=target, origin="a HAR file", notes=tuple(notes))


def _about(log: Mapping[str, Any]) -> str:
    pages = log.get("pages")
    first = pages[0] if isinstance(pages, list) and pages else {}
    return str(first.get("title", "")) if isinstance(first, dict) else ""


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _url(entry: Mapping[str, Any]) -> str:
    return str(_part(entry, "request").get("url", ""))


def _static(entry: Mapping[str, Any]) -> bool:
    kind = entry.get("_resourceType")
    if isinstance(kind, str):
        return kind in LOADED
    type_ = str(_part(_part(entry, "response"), "content").get("mimeType", ""))
    return type_.startswith(STATIC)


def _named(pairs: Any) -> dict[str, str]:
    """A list of {name, value} as a dictionary."""
    if not isinstance(pairs, list):
        return {}
    return {
        str(pair["name"]): str(pair.get("value", ""))
        for pair in pairs
        if isinstance(pair, dict) and "name" in pair
    }


def _cookies(entry: Mapping[str, Any]) -> bool:
    return any(name.lower() == "cookie" for name in _named(_part(entry, "request").get("headers")))


def _moment(path: str, entry: Mapping[str, Any]) -> float:
    text = str(entry.get("startedDateTime", ""))
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise ConfigError(f"startedDateTime '{text}' is not a time", path=path) from None


def _step(
    path: str, entry: Mapping[str, Any], target: str, ended: float
) -> tuple[Step | None, float]:
    request = _part(entry, "request")
    began = _moment(path, entry)
    took = entry.get("time")
    until = began + (max(0.0, float(took)) / 1000 if isinstance(took, int | float) else 0.0)
    post = _part(request, "postData")
    type_ = str(post.get("mimeType", ""))
    if type_.startswith("multipart/"):
        return None, until
    headers = kept_headers(_named(request.get("headers")))
    json_, has_json, data = _body(post, type_)
    if has_json or isinstance(data, dict):
        headers = {name: v for name, v in headers.items() if name.lower() != "content-type"}
    status = _part(entry, "response").get("status")
    pause = began - ended if ended else 0.0
    method = str(request.get("method", "GET")).upper()
    step = Step(
        method=method,
        path=on_target(_url(entry), target),
        name=flow_name(method, _url(entry)),
        headers=headers,
        json=json_,
        has_json=has_json,
        data=data,
        status=status if isinstance(status, int) and status >= 200 else None,
        think=min(LONGEST, pause) if pause >= PAUSE else 0.0,
        redirects=False,  # the recording holds where they led
    )
    return step, until


def _body(post: Mapping[str, Any], type_: str) -> tuple[Any, bool, Any]:
    text = post.get("text")
    if "json" in type_ and isinstance(text, str):
        try:
            return json.loads(text), True, None
        except ValueError:
            return None, False, text
    fields = _named(post.get("params"))
    if type_.startswith("application/x-www-form-urlencoded") and fields:
        return None, False, fields
    return None, False, text if isinstance(text, str) and text else None
