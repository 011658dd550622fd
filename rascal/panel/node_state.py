"""What a node has, kept up to date by its events: proxies, faults, seconds of traffic."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

SECONDS = 60
"""Of them the traffic is kept."""
COUNTED = ("open", "connections", "exchanges", "to_upstream", "to_client")
SAID = ("protocol", "enabled", "addresses", "upstream")
ABOUT = ("form", "text", "enabled", "armed", "matched", "fired", "waiting", "lease", "steps",
         "reached", "recipe")  # fmt: skip

CHANGED = {"added": "added", "removed": "removed", True: "enabled", False: "disabled"}


class Proxies:
    """The proxies of one node, by name; iterating gives the names."""

    def __init__(self) -> None:
        self._proxies: dict[str, dict[str, Any]] = {}
        self._seconds: dict[str, deque[tuple[float, ...]]] = {}
        self._at = 0.0

    def __iter__(self) -> Iterator[str]:
        return iter(self._proxies)

    def __contains__(self, name: object) -> bool:
        return name in self._proxies

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._proxies[name]

    def __len__(self) -> int:
        return len(self._proxies)

    # ---- for pages

    def faults(self, now: float) -> dict[str, dict[str, dict[str, Any]]]:
        """By proxy and name."""
        return {
            name: {key: _left(one, now) for key, one in proxy["faults"].items()}
            for name, proxy in self._proxies.items()
        }

    def json(self, now: float, seconds: bool) -> dict[str, Any]:
        """By name: what is said and counted, faults, and [bytes, exchanges, strikes, open] of each
        of the last seconds."""
        found = {}
        for name, proxy in self._proxies.items():
            faults = {key: _left(one, now) for key, one in proxy["faults"].items()}
            found[name] = {**proxy, "faults": faults}
            if seconds:
                found[name]["seconds"] = [list(one) for one in self._seconds.get(name, ())]
        return found

    # ---- what is heard

    def begin(self, data: Mapping[str, Any]) -> None:
        """A snapshot of the node."""
        self._proxies = {
            str(name): _proxy(one)
            for name, one in (data.get("proxies") or {}).items()
            if isinstance(one, Mapping)
        }
        self._seconds = {
            name: self._seconds.get(name, deque(maxlen=SECONDS)) for name in self._proxies
        }
        self._at = float(data.get("at") or 0.0)

    def detail(self, faults: Any, now: float) -> None:
        """What snapshots leave out: how long faults last, their leases, recipes' parts."""
        for name, known in faults.items() if isinstance(faults, Mapping) else ():
            proxy = self._proxies.get(name)
            if proxy is None or not isinstance(known, Mapping):
                continue
            for key, one in known.items():
                if one.get("recipe"):
                    owner = proxy["faults"].get(one["recipe"])
                    if owner is not None:
                        owner.setdefault("parts", {})[key] = _books(one)
                        owner["sentences"] = {
                            **owner.get("sentences", {}),
                            key: one.get("text", ""),
                        }
                elif key in proxy["faults"]:
                    proxy["faults"][key] = _fault(one, now)

    def hear(self, kind: str, data: Mapping[str, Any]) -> None:
        """An event."""
        if kind == "counters":
            self._count(data)
            return
        proxy = self._proxies.get(str(data.get("proxy")))
        if kind == "proxy":
            self._changed(data)
        elif proxy is not None and kind == "faults":
            _fault_changed(proxy["faults"], data)
        elif proxy is not None and kind == "fired":
            books = [data.get(name) for name in ("matched", "fired", "waiting")]
            _note(proxy["faults"], str(data.get("fault")), books)

    def _changed(self, data: Mapping[str, Any]) -> None:
        name = str(data.get("proxy"))
        if data.get("change") == "removed":
            self._proxies.pop(name, None)
            self._seconds.pop(name, None)
            return
        state = data.get("state") or {}
        known = self._proxies.setdefault(name, {**dict.fromkeys(COUNTED, 0), "faults": {}})
        known |= {key: state[key] for key in SAID if key in state}
        self._seconds.setdefault(name, deque(maxlen=SECONDS))

    def _count(self, data: Mapping[str, Any]) -> None:
        at = float(data.get("at") or 0.0)
        passed = at - self._at if 0.0 < at - self._at < 10.0 else 1.0
        self._at = at
        new = data.get("proxies") or {}
        for name, proxy in self._proxies.items():
            counted = new.get(name)
            before = _sums(proxy)
            if counted is not None:
                proxy |= {key: counted[key] for key in COUNTED if key in counted}
                for fault, books in (counted.get("faults") or {}).items():
                    _note(proxy["faults"], fault, books)
            rates = (max(0.0, b - a) / passed for a, b in zip(before, _sums(proxy), strict=True))
            self._seconds[name].append((*(round(one, 1) for one in rates), proxy["open"]))

    def still(self) -> None:
        """The node is away: nothing is known of its traffic."""
        for seconds in self._seconds.values():
            seconds.clear()


def plain_text(name: str, text: str) -> str:
    """The sentence without what stands beside it anyway: its name, whether it is on."""
    return text.removesuffix(f" name {name}").removesuffix(" enabled no")


def _sums(proxy: Mapping[str, Any]) -> tuple[float, float, float]:
    strikes = sum(int(one.get("fired") or 0) for one in proxy["faults"].values())
    return proxy["to_upstream"] + proxy["to_client"], proxy["exchanges"], strikes


def _proxy(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: data.get(name) for name in SAID}
    found |= {name: int(data.get(name) or 0) for name in COUNTED}
    faults = data.get("faults") or {}
    found["faults"] = {
        str(name): {**one, "text": plain_text(str(name), str(one.get("text") or ""))}
        for name, one in faults.items()
        if isinstance(one, Mapping)
    }
    return found


def _fault(state: Mapping[str, Any], now: float) -> dict[str, Any]:
    found = {name: state[name] for name in ABOUT if state.get(name) is not None}
    found["text"] = plain_text(str(state.get("name") or ""), str(found.get("text") or ""))
    if state.get("parts"):
        found["parts"] = {name: _books(one) for name, one in state["parts"].items()}
        found["sentences"] = {name: one.get("text", "") for name, one in state["parts"].items()}
    for name, at in (("expires_in", "expires_at"), ("enables_in", "enables_at")):
        if isinstance(state.get(name), int | float):
            found[at] = now + state[name]
    return found


def _fault_changed(faults: dict[str, Any], data: Mapping[str, Any]) -> None:
    state = data.get("state")
    if not isinstance(state, Mapping):
        return
    name = str(state.get("name") or data.get("name"))
    if data.get("change") == "removed":
        faults.pop(name, None)
    else:
        faults[name] = _fault(state, float(data.get("at") or 0.0))


def _books(one: Mapping[str, Any]) -> list[int]:
    return [int(one.get(name) or 0) for name in ("matched", "fired", "waiting")]


def _note(faults: dict[str, Any], name: str, books: Any) -> None:
    """Matched, fired, waiting of a fault, or of a part of a recipe."""
    found = faults.get(name)
    if found is not None:
        found |= dict(zip(("matched", "fired", "waiting"), books, strict=False))
        return
    for one in faults.values():
        parts = one.get("parts") or {}
        if name in parts:
            parts[name] = list(books)
            sums = [sum(each) for each in zip(*parts.values(), strict=False)]
            one |= dict(zip(("matched", "fired", "waiting"), sums, strict=False))


def _left(fault: Mapping[str, Any], now: float) -> dict[str, Any]:
    """With the seconds that are left of it."""
    found = dict(fault)
    for at, name in (("expires_at", "expires_in"), ("enables_at", "enables_in")):
        if at in found:
            found[name] = round(max(0.0, found.pop(at) - now), 1)
    return found


def differences(before: Any, after: Any) -> Iterator[dict[str, Any]]:
    """What happened to faults while nobody listened, as events say it."""
    if before is None:
        return
    at = round(time.time(), 3)
    for proxy in {**before, **after}:
        old, new = before.get(proxy, {}), after.get(proxy, {})
        for name in {**old, **new}:
            had, has = old.get(name), new.get(name)
            if had is None or has is None:
                change = "added" if had is None else "removed"
            elif had["enabled"] != has["enabled"]:
                change = CHANGED[bool(has["enabled"])]
            else:
                continue
            state = has or {**had, "enabled": False}
            yield {"proxy": proxy, "name": name, "change": change, "at": at, "state": state}
