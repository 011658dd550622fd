"""Who is told of the end of every run: a webhook, somebody's mail, a command of the operator.

Each is told of each run once, whoever started it. What was told is kept in a file beside the
store, so that runs which end while the panel is down are told when it is back. An attempt that
fails is made again, a few times, then it is given up, logged and shown. A panel that is killed
between a delivery and its note delivers again: `id` is the same, so that receivers can tell.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rascal.control._problems import Problem
from rascal.panel.deliveries import Channel, Refused, channels_of
from rascal.panel.outcomes import due, payload
from rascal.panel.queue import save

log = Logger()

BACKOFF = (2.0, 10.0, 60.0, 300.0)
"""Seconds until the next attempt; after the last one it is given up."""
LOOK = 30.0
"""Seconds between two looks, if nothing ends meanwhile."""
SLACK = 600.0
"""A run's end may be written a little later than its time says."""
WINDOW = 7 * 86_400.0
"""What ended longer ago is told to nobody."""
VERSION = 1


class Observers:
    """All of one panel.

    Args:
        panel: its settings say who is told, its runs who ends.
    """

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.reactor = panel.reactor
        self.channels: dict[str, Channel] = channels_of(panel)
        self.path = str(Path(panel.runs.path).with_suffix(".observers.json"))
        self.kept: dict[str, dict[str, Any]] = {}
        """By channel: since (a time), told {uid: {at, ok, why, run, ended}}, last."""
        self._busy: dict[str, Deferred[Any]] = {}
        self._later: dict[tuple[str, str], Deferred[Any]] = {}
        """Channel and run of what was not taken at once, and is tried again."""
        self._timer: Any = None
        self._closed = False
        panel.hub.listeners.append(self._heard)
        panel.closing.append(self.close)

    def begin(self) -> None:
        """Look from now on; what ended since the last time comes first."""
        if not self.channels or self._closed:
            return
        self._load()
        now = time.time()
        for name in self.channels:
            self.kept.setdefault(name, {"since": now, "told": {}, "last": None})
        self._save()
        self._soon(0.0)

    def _heard(self, kind: str, data: Any) -> None:
        if kind == "run" and ("last" in data or data.get("state") not in ("running", None)):
            self._soon(0.0)

    def _soon(self, seconds: float) -> None:
        if self._closed or not self.kept:
            return
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() > self.reactor.seconds() + seconds:
                self._timer.reset(seconds)
            return
        self._timer = self.reactor.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._soon(LOOK)
        for name in self.channels:
            if name in self._busy:
                continue
            busy = self._busy[name] = Deferred.fromCoroutine(self._tell_all(name))
            busy.addErrback(self._stumbled, name)
            busy.addBoth(self._done, name)

    def _done(self, _: Any, name: str) -> None:
        self._busy.pop(name, None)

    def _stumbled(self, failure: Any, name: str) -> None:
        if not failure.check(CancelledError) and not self._closed:
            log.warn("{name}: runs cannot be told: {why}", name=name, why=failure.value)

    # ---- telling

    async def _tell_all(self, name: str) -> None:
        """Tell a channel of all runs that it does not know of, in the order of their ends."""
        while not self._closed:
            kept = self.kept[name]
            since = max(kept["since"], time.time() - WINDOW)
            again = {uid for channel, uid in self._later if channel == name}
            found = await self.panel.runs.ask(due, since, frozenset(kept["told"]) | again)
            if not found:
                if not again:
                    self._forget(kept)
                return
            for uid, run in found:
                await self._tell(name, uid, run)

    async def _tell(self, name: str, uid: str, run: str) -> None:
        told = await self.panel.runs.ask(payload, run, self.link)
        if told is None:  # deleted meanwhile
            self._keep(name, uid, {"ok": True, "why": "deleted", "run": run, "at": time.time()})
            return
        why, final = await self._attempt(self.channels[name], told)
        if not why or final:
            self._concluded(name, uid, told, why, 1)
            return
        # Others need not wait for it.
        later = self._later[name, uid] = Deferred.fromCoroutine(self._again(name, uid, told, why))
        later.addErrback(self._stumbled, name)
        later.addBoth(self._not_again, name, uid)

    def _not_again(self, _: Any, name: str, uid: str) -> None:
        self._later.pop((name, uid), None)

    async def _again(self, name: str, uid: str, told: Mapping[str, Any], why: str) -> None:
        tries, final = 1, False
        for wait in BACKOFF:
            if final or not why:
                break
            await deferLater(self.reactor, wait)
            tries += 1
            why, final = await self._attempt(self.channels[name], told)
        self._concluded(name, uid, told, why, tries)

    async def _attempt(self, channel: Channel, told: Mapping[str, Any]) -> tuple[str, bool]:
        """Why it was not delivered ("" if it was), and whether that is final."""
        try:
            await channel.deliver(told)
        except Refused as refused:
            if self._closed:
                raise CancelledError from refused
            return str(refused), refused.final
        return "", False

    def _concluded(
        self, name: str, uid: str, told: Mapping[str, Any], why: str, tries: int
    ) -> None:
        run, at = told["run"]["id"], round(time.time(), 3)
        if why:
            log.warn("{name} was not told of run {run}: {why}", name=name, run=run, why=why)
            self._noted(name, f"was not told of run {run}: {why}")
        else:
            log.info("{name} was told of run {run}", name=name, run=run)
        entry = {"at": at, "ok": not why, "why": why, "run": run, "tries": tries}
        self._keep(name, uid, {**entry, "ended": told["run"]["ended"]})

    def _noted(self, name: str, text: str) -> None:
        """Failures stand among the changes, where people look."""
        entry = {"at": round(time.time(), 3), "who": name, "from": "observers", "what": text[:300]}
        self.panel.audited.append(entry)
        self.panel.hub.publish("audit", entry)

    @property
    def link(self) -> str:
        """Where people reach the panel."""
        settings = self.panel.settings
        return str(settings.link or settings.url).rstrip("/")

    # ---- what is known

    def _keep(self, name: str, uid: str, entry: dict[str, Any]) -> None:
        kept = self.kept[name]
        kept["told"][uid] = entry
        kept["last"] = {key: entry[key] for key in ("at", "ok", "why", "run")}
        self._save()

    def _forget(self, kept: dict[str, Any]) -> None:
        """All that has ended is told: what ended long before now need not be asked for again."""
        edge = time.time() - SLACK
        if kept["since"] < edge - SLACK:
            kept["since"] = edge
            kept["told"] = {
                uid: one for uid, one in kept["told"].items()
                if max(one.get("ended") or 0.0, one["at"]) > edge
            }  # fmt: skip
            self._save()

    def _save(self) -> None:
        save(self.path, json.dumps({"version": VERSION, "channels": self.kept}))

    def _load(self) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(Path(self.path).read_text("utf-8"))
            if found["version"] == VERSION:
                self.kept = {
                    name: {
                        "since": float(one["since"]),
                        "told": dict(one["told"]),
                        "last": one.get("last"),
                    }
                    for name, one in found["channels"].items()
                    if name in self.channels
                }

    def shown(self) -> list[dict[str, Any]]:
        """For pages: who is told, without secrets, and how it went last."""
        return [
            {
                "kind": name,
                "what": channel.shown,
                "last": (self.kept.get(name) or {}).get("last"),
                "busy": name in self._busy or any(one == name for one, _ in self._later),
                "try": f"/api/v1/observers/{name}/try",
            }
            for name, channel in self.channels.items()
        ]

    async def attempt(self, name: str, by: str) -> dict[str, Any]:
        """Tell one of nothing, to see whether it can be told. Raises Problem."""
        channel = self.channels.get(name)
        if channel is None:
            known = ", ".join(self.channels) or "none are set"
            raise Problem(404, "unknown-name", f"there is no observer '{name[:40]}': {known}")
        now = round(time.time(), 3)
        run = {"id": "", "name": "a try", "kind": "", "outcome": "", "status": None, "ended": now}
        told = {
            "event": "try",
            "id": f"try-{int(now * 1000)}",
            "run": run,
            "verdict": {"word": "", "sentence": ""},
            "sentence": f"Rascal: a try of this observer by {by or 'somebody'}",
            "link": f"{self.link}/settings/observers",
        }
        try:
            await channel.deliver(told)
        except Refused as refused:
            return {"ok": False, "why": str(refused), "at": now}
        return {"ok": True, "why": "", "at": now}

    def close(self) -> None:
        """The panel stops; what is under way is told again later."""
        self._closed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for busy in [*self._busy.values(), *self._later.values()]:
            busy.cancel()
        for channel in self.channels.values():
            channel.close()
