"""How much load, read: rate and users with for, one profile, or one for each scenario."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rascal.errors import did_you_mean
from rascal.language import Stretch
from rascal.language.profile import profile_problem
from rascal.load.plan import Share
from rascal.load.wishes import HOW_MUCH, LOAD, SHARE, Wishes, alike, as_list, kind_of
from rascal.options import Option


class LoadWishes(Wishes):
    """Reads the shares of a plan."""

    def shares(self) -> tuple[Share, ...]:
        only = self.scenario_names(self.texts("only"), "only") or self.known
        defaults = {
            name: self.option(SHARE[name])
            for name in ("spacing", "max_in_flight")
            if self.given(name)
        }
        said = [name for name in LOAD if self.given(name)]
        if not said:
            self.wrong(HOW_MUCH, "for" if self.given("for") else "profile")
            return ()
        if len(said) > 1:
            names = " and ".join(said)
            self.wrong(f"{names} say both how much load: write one of them", said[1])
            return ()
        if self.given("profiles") or isinstance(self.values[said[0]], Mapping):
            return self.several(said[0], only, defaults)
        return self.one(said[0], only, defaults)

    def one(self, said: str, only: tuple[str, ...], defaults: dict[str, Any]) -> tuple[Share, ...]:
        """One profile for all scenarios, chosen by their weights."""
        if said == "replay":
            log = self.option(SHARE["replay"])
            return (Share(scenarios=only, replay=log or "", **defaults),)
        if said == "profile":
            named, rest = _named_profiles(self.values["profile"])
            if named and rest:
                self.wrong("one profile has no scenario's name, the others have one", "profile")
                return ()
            if named:
                return self.several("profile", only, defaults, named)
            profile = self.finished(self.profile(self.values["profile"], "profile"))
        else:
            profile = self.level(said)
        return (Share(scenarios=only, profile=profile, **defaults),) if profile else ()

    def level(self, said: str) -> tuple[Stretch, ...]:
        """rate or users, with for."""
        text = str(self.values[said]).strip()
        if said == "users" and not text.endswith("users"):
            text += " users"
        read = self.read("level", alike(self.values[said], text), said)
        if read is None:
            return ()
        ends = (read.low, read.high) if hasattr(read, "low") else (read,)
        if any(end.users for end in ends if end.value) != (said == "users"):
            self.wrong(f"{said} is written as {_EXAMPLES[said]}", said)
            return ()
        if not self.given("for"):
            self.wrong(
                f"how long? add for 60s to {said} {self.values[said]} (a profile "
                "'hold …' without time goes on until it is stopped)",
                said,
            )
            return ()
        lasts = self.read(Option("for", "duration", ""), self.values["for"], "for")
        if lasts is None or not lasts.value:
            if lasts is not None:
                self.wrong("for is how long the load lasts: more than 0s", "for")
            return ()
        return (Stretch("ramp" if len(ends) > 1 else "hold", read, lasts),)

    def profile(self, value: Any, name: str) -> tuple[Stretch, ...]:
        """A text, or a list of stretches."""
        if isinstance(value, list | tuple) and len(value) != 1:
            parts = [self.read("stretch", text, name) for text in value]
            found = tuple(part for part in parts if part is not None)
            problem = profile_problem(found) if len(found) == len(parts) else None
            if not parts:
                self.wrong("the profile is empty", name, value)
            if problem:
                self.wrong(problem[0], name, value[problem[1]])
            return () if problem or len(found) < len(parts) else found
        text = value[0] if isinstance(value, list | tuple) else value
        return self.read("profile", text, name) or ()

    def finished(self, profile: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
        """The profile, whose last hold gets the time that `for` says."""
        if not profile or not self.given("for"):
            return profile
        lasts = self.read(Option("for", "duration", ""), self.values["for"], "for")
        if lasts is None:
            return ()
        if profile[-1].lasts is not None:
            self.wrong(
                "the profile says itself how long it lasts: leave out for, or write the last "
                "hold without time",
                "for",
            )
            return ()
        last = profile[-1]
        return (*profile[:-1], Stretch(last.shape, last.level, lasts, last.every, last.count))

    def several(
        self,
        name: str,
        only: tuple[str, ...],
        defaults: dict[str, Any],
        named: Mapping[str, Any] | None = None,
    ) -> tuple[Share, ...]:
        """A profile for each scenario (or for several: `browse, search: …`)."""
        value = self.values[name] if named is None else named
        if not isinstance(value, Mapping):
            self.wrong(f"{name} are 'scenario: profile' lines, found {kind_of(value)}", name)
            return ()
        found, seen = [], set()
        for key, given in value.items():
            names = self.scenario_names([part.strip() for part in key.split(",")], name, key)
            for one in names:
                if one in seen:
                    self.wrong(f"'{one}' has two profiles", name, key)
                if one not in only and one in self.known:
                    self.wrong(f"'{one}' has a profile and is not among the chosen", name, key)
                seen.add(one)
            share = self.share(names, key, given, defaults)
            found += [share] if share else []
        for one in only:
            if self.given("only") and one not in seen:
                self.wrong(f"'{one}' is chosen and has no profile", name)
        return tuple(found)

    def share(
        self, names: tuple[str, ...], key: str, given: Any, defaults: dict[str, Any]
    ) -> Share | None:
        options = dict(defaults)
        if isinstance(given, Mapping):
            allowed = ("profile", *SHARE)
            for other in given:
                if other not in allowed:
                    self.wrong(
                        f"a profile has no '{other}'; names: {', '.join(allowed)}."
                        f"{did_you_mean(other, allowed)}",
                        "profiles",
                        other,
                        "unknown-name",
                    )
            options |= {
                one: self.option(SHARE[one], given) for one in SHARE if given.get(one) is not None
            }
            given = given.get("profile")
            if (given is None) == (not options.get("replay")):
                self.wrong(f"'{key}' takes a profile or a replay", "profiles", key)
                return None
        profile = self.finished(self.profile(given, "profiles")) if given is not None else ()
        if not names or (not profile and not options.get("replay")):
            return None
        return Share(scenarios=names, profile=profile, **options)


_EXAMPLES = {"rate": "200/s (or 0..200/s)", "users": "50 (or 0..50)"}
_NAMED = re.compile(r"\s*([^\s=\"'()]+(?:\s*,\s*[^\s=\"'(),]+)*)\s*=(.*)", re.DOTALL)


def _named_profiles(value: Any) -> tuple[dict[str, str], list[Any]]:
    """`browse=hold 5/s for 10s` of a command line, by scenario; and those without a name."""
    named: dict[str, str] = {}
    rest = []
    for item in as_list(value):
        cut = _NAMED.fullmatch(item) if isinstance(item, str) else None
        if cut:
            named[cut[1]] = cut[2].strip()
        else:
            rest.append(item)
    return named, rest
