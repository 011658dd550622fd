"""An experiment file to begin with, of a few answers, which the command and the panel ask for."""

from __future__ import annotations

import attrs

FAULTS = {
    "hang": ("hang", "it takes requests and does not answer"),
    "slow": ("delay 2s", "every answer comes two seconds later"),
    "flaky": ("30% reset", "three of ten requests end with a reset connection"),
    "down": ("refuse", "nobody can connect any more"),
}
"""What may go wrong, by a word: the sentence, and what it does."""
DEFAULTS = {
    "target": "http://127.0.0.1:8080",
    "scenarios": "scenario.py",
    "rate": "50/s",
    "node": "",
    "proxy": "db",
    "fault": "hang",
    "expect": "graceful",
}

TEXT = """\
# What happens to the application when '{proxy}' fails?
#
#   rascal experiment check {file}      is everything there, and right?
#   rascal experiment explain {file}    the plan as a timeline; is it long enough to tell?
#   rascal experiment run {file}        load, faults, verdict; status 0 if as expected
#
# All names that may stand here, for editors: rascal experiment schema

# The application, and where the proxies before its dependencies are controlled.
target: {target}
nodes: {{main: '{node}'}}

# The load lasts as long as the phases. Arrivals do not wait for the application (open model).
load:
  scenarios: {scenarios}
  profile: hold {rate}
  timeout: 5s               # of a request; every phase ends by waiting for it

# Before, during, after. The fault needs calls to be counted in: at 50/s and flow these do.
phases: {{warm-up: 10s, baseline: 20s, fault: 15s, recovery: 45s}}

# What goes wrong. Without times: from the beginning of the phase "fault" to its end. More:
{more}
faults:
  - {sentence}

# Which flows need what. Left out it is learned before the load starts, by one user who tries all.
# uses: {{{proxy}: [checkout]}}

# Must hold besides the verdict; of a phase (fault, if nothing is said).
# objectives:
#   - p95(checkout) < 500ms in recovery
#   - goodput_kept(status) >= 95% in fault
#   - time_to_recover <= 20s

# Must be true before, and again after.
# invariants:
#   - {{name: nobody is charged twice, get: /invariants, json: $.charged_twice, equals: 0}}

# Ends the experiment at once, and takes the faults away.
stop: [failed > 95% for 30s]

# Worst first: invalid, corrupt, stuck (broken, overloaded, metastable), cascading, degraded,
# graceful, resilient. This one or a better one; `exactly WORD` for this one alone.
expect: {expect}

# Of all draws: the same seed gives the same arrivals and the same faults.
seed: 1
"""

MORE = """\
#   - 30% error(deadlock) on db match statement=UPDATE from fault+5s for 5s
#   - recipe overloaded-database on db
#   - pause on service.mysql          # a Compose service (rascal[containers])"""
"""Other faults, as comments."""


@attrs.define(kw_only=True)
class Answers:
    """What the file is made of."""

    target: str
    scenarios: str
    rate: str
    node: str
    proxy: str
    fault: str
    expect: str
    more: str = MORE

    @property
    def sentence(self) -> str:
        """The fault as it stands in the file."""
        said, _ = FAULTS.get(self.fault, (self.fault, ""))
        words = said.split()
        if "on" in words:
            return quoted(said)
        return quoted(f"{said} on {self.proxy}")

    def text(self, file: str) -> str:
        """The file."""
        return TEXT.format(
            file=file, sentence=self.sentence, **{**attrs.asdict(self), "rate": self.rate}
        )


def quoted(text: str) -> str:
    """A sentence as a YAML scalar: in quotes where it has to be."""
    plain = text[:1].isalnum() and ": " not in text and " #" not in text
    return text if plain else "'" + text.replace("'", "''") + "'"
