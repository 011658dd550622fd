"""Targets off this machine: which are allowed, which have proven whose they are, how to prove it.

The load client itself keeps to this (rascal.load.targets); the panel shows what is known and asks
a target for its proof when somebody wants to know now. The token is the one that the panel's
runs, and the agents, have: RASCAL_TOKEN, its file, or `node_token`.
"""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlsplit

from rascal.control._problems import Problem
from rascal.errors import ConfigError, LoadError
from rascal.load.bundle import read_token
from rascal.load.known_proofs import KnownProofs
from rascal.load.plan import Plan
from rascal.load.targets import (
    PROOF,
    RECORD,
    Targets,
    fingerprint,
    refusal,
    resolve,
    target_problems,
)
from rascal.panel.helpers import Helpers

PATIENCE = 5.0
KEPT = 20
"""Checks that are remembered."""
HOWS = {"file": f"it shows the file {PROOF}", "dns": f"its name has the record {RECORD}"}


class OwnedTargets:
    """What the panel knows of targets."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self._helpers = Helpers(panel.reactor)
        self._refused: dict[str, dict[str, Any]] = {}
        """Of checks that were asked for here."""
        panel.closing.append(self._helpers.close)

    @property
    def token(self) -> str:
        """Shared with the targets' owners; "" if there is none."""
        try:
            found = read_token(os.environ.get("RASCAL_TOKEN_FILE"), os.environ)
        except ConfigError:
            found = ""
        return found or str(self.panel.settings.node_token)

    def targets(self) -> Targets:
        """The rule as a run of the panel has it, asked afresh."""
        token = self.token or None
        known = KnownProofs(token) if token else None
        return Targets(self.panel.settings.targets, token, known)

    async def shown(self) -> dict[str, Any]:
        """For the page: hosts with their state, and how to prove."""
        token = self.token
        hosts = [
            {"host": one, "state": "allowed", "why": "in 'targets' of panel.ini", "at": None,
             "until": None}
            for one in self.panel.settings.targets
        ]  # fmt: skip
        proofs = await self._helpers.run(KnownProofs(token).all) if token else []
        for one in proofs:
            at = "" if one.host == one.address else f" at {one.address}"
            hosts.append(
                {"host": one.host, "state": "proven", "why": f"{HOWS[one.how]}{at}", "at": one.at,
                 "until": one.until}
            )  # fmt: skip
        hosts += list(self._refused.values())
        return {
            "hosts": hosts,
            "proof": {
                "path": PROOF,
                "record": f"{RECORD}.HOST",
                "text": fingerprint(token) if token else "",
            },
            "check": "/api/v1/targets/check",
            "needs": ""
            if token
            else "there is no token to prove with: set RASCAL_TOKEN for the "
            "panel and the agents (rascal token makes one)",
        }

    async def check(self, target: Any) -> dict[str, Any]:
        """Look now whether load to a target would be allowed, and why. Raises Problem."""
        if not isinstance(target, str) or not target.strip():
            raise _wrong("which target? its base URL, such as https://shop.test")
        target = target.strip().rstrip("/")
        if "://" not in target:
            target = f"http://{target}"
        for problem in target_problems(target):
            raise _wrong(problem)
        url = urlsplit(target)
        if url.scheme.endswith("+unix"):
            return self._said(target, "allowed", "a UNIX socket is on this machine")
        host = url.hostname or ""
        reactor, plan = self.panel.reactor, Plan(file="", shares=(), target=target)
        addresses = await resolve(reactor, host, url.port or 80, PATIENCE)
        if not addresses:
            return self._said(host, "refused", f"the name '{host}' has no address")
        targets, said = self.targets(), []
        for address in addresses[:4]:
            if targets.permits(host, address):
                near = not targets.hosts and not targets.networks
                said.append(("allowed", "this machine" if near else self._allowed(host, address)))
                continue
            try:
                how = await targets.prove(reactor, plan, address, fresh=True)
            except LoadError as error:
                said.append(("refused", str(error)))
                continue
            found = ("proven", HOWS[how]) if how else ("refused", refusal(host, address))
            said.append(found)
        good = [one for one in said if one[0] != "refused"]
        state, why = (good or said)[0]
        if good and len(good) < len(said):
            why += f"; {len(said) - len(good)} of its {len(said)} addresses do not, and get no load"
        return self._said(host, state, why)

    def _allowed(self, host: str, address: str) -> str:
        """Why an address is allowed without proof."""
        if Targets().permits(host, address):
            return "this machine"
        return "in 'targets' of panel.ini"

    def _said(self, host: str, state: str, why: str) -> dict[str, Any]:
        found = {"host": host, "state": state, "why": why, "at": round(time.time(), 3),
                 "until": None, "ok": state != "refused"}  # fmt: skip
        self._refused.pop(host, None)
        if state == "refused":
            self._refused[host] = found
            while len(self._refused) > KEPT:
                self._refused.pop(next(iter(self._refused)))
        return found


def _wrong(text: str) -> Problem:
    return Problem(422, "not-allowed", text, pointer="/target")
