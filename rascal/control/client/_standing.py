"""What is installed for the time of a `with` block, and how an earlier state is put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.control.client._asks import Collection
from rascal.control.client._data import FaultData, StepData
from rascal.errors import RascalError


class Unproven(RascalError):
    """A fault did not do what it should have done; the message says what it did."""


class Standing:
    """A fault, script or recipe that stands while the block runs.

    Its numbers are those of `data`, the latest that is known: what was installed, what `look`
    found, and in the end what the removal answered with. (The blocking client's object looks by
    itself when it is asked inside the block.)

    Attributes:
        proxy, name, collection: where it is.
        data: all that is known of it.
        over: whether the block is left.
    """

    def __init__(self, proxy: str, collection: Collection, data: FaultData) -> None:
        self.proxy = proxy
        self.collection = collection
        self.name = data["name"]
        self.data = data
        self.over = False

    def __repr__(self) -> str:
        return f"<{self.proxy}/{self.name} {self.data['text']}>"

    def _now(self) -> FaultData:
        return self.data

    @property
    def text(self) -> str:
        """Its sentence."""
        return self.data["text"]

    @property
    def matched(self) -> int:
        """Exchanges (connections) that it was asked about."""
        return self._now()["matched"]

    @property
    def fired(self) -> int:
        """How often it struck."""
        return self._now()["fired"]

    @property
    def waiting(self) -> int:
        """What it holds at this moment."""
        return self._now()["waiting"]

    @property
    def skipped(self) -> Mapping[str, int]:
        """What it matched and let pass, by reason."""
        return self._now()["skipped"]

    @property
    def armed(self) -> bool:
        """Whether it can strike."""
        return self._now()["armed"]

    @property
    def steps(self) -> list[StepData]:
        """The steps of a script and what became of them."""
        return self._now().get("steps", [])

    def verify(self, fired: int | None = None) -> None:
        """Raise Unproven unless it fired (so often); of a script, unless every step was used."""
        data = self._now()
        where = f"{self.proxy}/{self.name} {data['text']}"
        if "steps" in data:
            bad = [one for one in data["steps"] if is_bad(one)]
            if bad:
                raise Unproven(f"{where}: {', '.join(map(step_text, bad))}")
            return
        wrong = data["fired"] == 0 if fired is None else data["fired"] != fired
        if wrong:
            wanted = "" if fired is None else f", wanted {fired}"
            skipped = ", ".join(f"{count} {reason}" for reason, count in data["skipped"].items())
            raise Unproven(
                f"{where}: matched {data['matched']}, fired {data['fired']}{wanted}"
                + (f", skipped {skipped}" if skipped else "")
            )


def is_bad(step: StepData) -> bool:
    """Whether a step has not been taken, or came to nothing."""
    return step["state"] == "unused" or step["state"].startswith("void")


def step_text(step: StepData) -> str:
    """A step and its state in words."""
    return f"step {step['n']} {step['text']} is {step['state']}"


def restoring(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes of `now` what `earlier` was (answers of the API)."""
    then, is_ = dict(earlier["structure"]), now["structure"]
    patch: dict[str, Any] = {name: None for name in is_ if name not in then} | then
    options = is_.get("options")
    if isinstance(options, Mapping) and then.get("kind") == is_.get("kind"):
        mine = then.get("options", {})
        patch["options"] = {name: None for name in options if name not in mine} | mine
    patch.pop("name", None)
    patch["enabled"] = bool(earlier["enabled"])
    return patch
