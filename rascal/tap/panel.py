"""`twistd -n --pidfile= rascal-panel [--config panel.ini]`: faults, load and verdicts in a browser.

Its options are those of the section [panel] of `--config FILE`; the command line comes first. With
no file at all it is at http://127.0.0.1:8480/ for this machine alone. What is wrong with the
options ends the process with a line each and status 1; so does a port that cannot be had.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.application import service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python import usage

from rascal.errors import ConfigErrors
from rascal.panel.settings import PANEL, Settings, check_places, settings_of
from rascal.reactor import install_unless_loaded
from rascal.tap.logs import use_json

log = Logger()

ON_THE_COMMAND_LINE = (
    "listen", "nodes", "redis", "store", "scenarios", "experiments", "targets", "log",
)  # fmt: skip


class Options(usage.Options):
    """The command line of rascal-panel."""

    synopsis = "[options]"
    longdesc = "Faults, load and verdicts in a browser."
    optParameters = [
        ["config", "c", None, "INI file with a section [panel]"],
        *(
            ["log-format" if name == "log" else name, None, None, PANEL[name].help]
            for name in ON_THE_COMMAND_LINE
        ),
    ]

    settings: Settings

    def postOptions(self) -> None:
        """Choose the reactor, read and check."""
        install_unless_loaded()
        given = {
            name: self["log-format" if name == "log" else name]
            for name in ON_THE_COMMAND_LINE
            if self["log-format" if name == "log" else name] is not None
        }
        try:
            self.settings = settings_of(self["config"], given, os.environ)
            check_places(self.settings)
        except ConfigErrors as errors:
            lines = (f"rascal-panel: {finding}" for finding in errors.findings)
            raise SystemExit("\n".join(lines)) from errors
        if self.settings.log == "json":
            use_json(self.parent)


class PanelService(service.Service):
    """Listens, and gives everything back when it stops."""

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.settings = settings
        self.reactor = reactor
        self.panel: Any = None
        self._port: Any = None

    def privilegedStartService(self) -> None:
        """Bind the port; a port that cannot be had ends the process with a line."""
        from rascal.panel.site import Panel

        self.panel = Panel(self.settings, self.reactor)
        listen = self.settings.listen
        try:
            if listen.type == "unix":
                self._port = self.reactor.listenUNIX(listen.path, self.panel.site(), mode=0o600)
            else:
                site = self.panel.site()
                self._port = self.reactor.listenTCP(listen.port, site, interface=listen.host)
        except CannotListenError as error:
            raise SystemExit(
                f"rascal-panel: {listen} cannot be had: {error.socketError}"
            ) from error
        log.info("the panel is at {url}", url=self.settings.url)

    async def _stop(self) -> None:
        if self._port is not None:
            await self._port.stopListening()
        if self.panel is not None:
            await self.panel.close()

    def stopService(self) -> Deferred[None]:
        """Give the port back, and whatever the pages hold."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())


def makeService(options: Options) -> service.IService:
    """The service of one process."""
    from twisted.internet import reactor

    made = PanelService(options.settings, reactor)
    made.setName("rascal-panel")
    return made
