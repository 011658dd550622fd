"""What twistd lists for Rascal: its services and its reactor.

Only names stand here, and nothing imports Rascal, so `twistd --help` stays fast and no reactor is
chosen before `-r` has been read.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

proxy = ServiceMaker(
    "Rascal proxies",
    "rascal.tap.proxy",
    "Fault proxies in front of databases, caches and services.",
    "rascal-proxy",
)

agent = ServiceMaker(
    "Rascal agent",
    "rascal.tap.agent",
    "Runs load scenarios for coordinators that use the same Redis.",
    "rascal-agent",
)

panel = ServiceMaker(
    "Rascal panel",
    "rascal.tap.panel",
    "Faults, load and verdicts in a browser.",
    "rascal-panel",
)

lean = Reactor(
    "lean",
    "rascal.reactor",
    "epoll with lean dispatch and a steady clock: what Rascal chooses unless told otherwise.",
)
