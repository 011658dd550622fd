"""`twistd -n --pidfile= rascal-agent --redis redis://…`: a process that runs scenarios for others.

Its options are those of the section [agent] of `--config FILE`; the command line comes first, then
the environment (RASCAL_REDIS, RASCAL_REDIS_PASSWORD, RASCAL_TOKEN, RASCAL_TOKEN_FILE), then the
file. What is wrong with them ends the process with a line each and status 1. So does a Redis that
will never let us in (a wrong password, no Redis at all); where nobody listens yet, the agent tries
until somebody does.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Any

from twisted.application import service
from twisted.logger import Logger
from twisted.python import usage

from rascal.errors import ConfigErrors
from rascal.load.agent_options import AGENT, AgentOptions, agent_options
from rascal.reactor import install_unless_loaded
from rascal.tap.logs import use_json
from rascal.units import plain_text

log = Logger()

_FLAGS = ("dependencies",)
_SHORT = {"config": "c", "redis": "r", "name": "n"}


def _parameters() -> list[list[str | None]]:
    """The options of the table that take a value, as usage.Options wants them."""
    found: list[list[str | None]] = [
        ["config", _SHORT["config"], None, "INI file with a section [agent]"]
    ]
    for name, option in AGENT.items():
        if name not in _FLAGS:
            default = option.default
            if isinstance(default, float):
                default = plain_text("duration", default)
            shown = "" if default is None else f" [{default}]"
            long = "log-format" if name == "log" else name.replace("_", "-")
            found.append([long, _SHORT.get(name), None, option.help + shown])
    return found


class Options(usage.Options):
    """The command line of rascal-agent."""

    synopsis = "[options]"
    longdesc = "Runs load scenarios for coordinators that use the same Redis."
    optFlags = [[name, None, AGENT[name].help] for name in _FLAGS]
    optParameters = _parameters()

    options: AgentOptions

    def postOptions(self) -> None:
        """Choose the reactor, read and check."""
        install_unless_loaded()
        given = {}
        for name in AGENT:
            value = self["log-format" if name == "log" else name.replace("_", "-")]
            if name in _FLAGS:
                value = "yes" if value else None
            if value is not None:
                given[name] = value
        try:
            self.options = agent_options(self["config"], given, os.environ)
        except ConfigErrors as errors:
            lines = (f"rascal-agent: {finding}" for finding in errors.findings)
            raise SystemExit("\n".join(lines)) from errors
        if self.options.log == "json":
            use_json(self.parent)


def makeService(options: Options) -> service.IService:
    """The service of one process: one agent."""
    from twisted.internet import reactor

    from rascal.load.agent import Agent

    made = Agent(options.options, reactor, on_fatal=lambda line: end_process(reactor, line))
    made.setName("rascal-agent")
    return made


def end_process(reactor: Any, line: str) -> None:
    """End with one line and status 1; stopping the reactor alone would end with 0."""
    log.critical("{line}", line=line)
    atexit.register(_exit_with_failure, line)
    reactor.stop()


def _exit_with_failure(line: str) -> None:
    """The last words are on the real standard error: twistd logs what is written to the other."""
    for stream, text in ((sys.__stdout__, ""), (sys.__stderr__, f"rascal-agent: {line}\n")):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.write(text)
                stream.flush()
    os._exit(1)
