"""`twistd -n --pidfile= rascal-proxy --config proxies.ini`: fault proxies as a service.

Everything is read and checked before anything starts: what is wrong in the file ends the process
with one line for each finding and status 1. So does a port that cannot be had, with one line, and
then no other port stays bound either. SIGHUP reads the file again; what is wrong in
it then is logged and nothing changes.

`--config toxiproxy.json` and `--toxiproxy` (without any file) make it a replacement of the
Toxiproxy server: the compatible API is open to everyone who can reach it.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from twisted.application import service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python import usage

from rascal.config import SERVICE, Configuration, difference, load
from rascal.config.clashes import is_loopback
from rascal.config.load import service_value
from rascal.config.registry import broken_extensions
from rascal.config.toxiproxy import CONTROL, is_toxiproxy, load_toxiproxy
from rascal.errors import ConfigError, ConfigErrors, RascalError
from rascal.reactor import install_unless_loaded
from rascal.tap.logs import use_json

log = Logger()

GC_THRESHOLDS = (50_000, 50, 100)
"""Connections leave no cycles behind, so the collector has little to do and need not come often."""

OVERRIDES = {"control": "control", "seed": "seed", "log": "log-format"}
"""Options of [rascal], and those of the command line that come before them."""


class WrongOption(ConfigErrors):
    """Options of the command line that cannot be meant; not a finding in the file."""

    def __init__(self, message: str) -> None:
        super().__init__([ConfigError(message)])


class Options(usage.Options):
    """The command line of rascal-proxy."""

    synopsis = "[options]"
    longdesc = "Fault proxies between real clients and real servers, as proxies.ini describes them."
    optFlags = [
        ["toxiproxy", None, "replace a Toxiproxy server; needs no file"],
    ]
    optParameters = [
        ["config", "c", None, "proxies.ini or toxiproxy.json: describes the proxies (required)"],
        ["control", None, None, "where the control API listens, or off; overrides the file"],
        ["seed", None, None, "the seed of all draws; overrides the file"],
        ["log-format", None, None, "how the log is written, text or json; overrides the file"],
        ["host", None, None, "in place of a Toxiproxy server: where to listen [localhost]"],
        ["port", None, None, "in place of a Toxiproxy server: its port [8474]"],
    ]

    configuration: Configuration

    def postOptions(self) -> None:
        """Choose the reactor, read and check the file."""
        install_unless_loaded()
        if not (self["config"] or self["toxiproxy"]):
            raise usage.UsageError("--config is missing: name the file that describes the proxies")
        try:
            self.configuration = self.read()
        except WrongOption as error:
            raise usage.UsageError(str(error)) from error
        except ConfigErrors as errors:
            lines = (f"rascal-proxy: {finding}" for finding in errors.findings)
            raise SystemExit("\n".join(lines)) from errors
        if self.configuration.log == "json":
            use_json(self.parent)

    def read(self) -> Configuration:
        """The configuration as the file says it now. Raises ConfigErrors."""
        given = {name: self[key] for name, key in OVERRIDES.items() if self[key] is not None}
        path = self["config"]
        if self["toxiproxy"] or is_toxiproxy(path):
            return load_toxiproxy(path, self._replacing(given))
        for name in ("host", "port"):
            if self[name] is not None:
                message = f"--{name} is for replacing a Toxiproxy server: write --control"
                raise WrongOption(message)
        return load(path, os.environ, overrides=given)

    def _replacing(self, given: dict[str, str]) -> dict[str, Any]:
        """The settings of a replacement of the Toxiproxy server. Raises WrongOption."""
        place = self["host"] is not None or self["port"] is not None
        if place and "control" in given:
            raise WrongOption("--control says where to listen, and so do --host and --port")
        if "control" not in given:
            host = self["host"] or CONTROL.host
            given["control"] = f"{f'[{host}]' if ':' in host else host}:{self['port'] or 8474}"
        found: dict[str, Any] = {}
        for name, text in given.items():
            try:
                found[name] = service_value(SERVICE[name], text)
            except ConfigError as error:
                raise WrongOption(f"--{OVERRIDES[name]}: {error.message}") from error
        return found | {"control": None if found["control"] == "off" else found["control"]}


def makeService(options: Options) -> service.IService:
    """The service of one process: all proxies of its file, and the control API."""
    from twisted.internet import reactor

    made = ProxyService(options.configuration, options.read, reactor)
    made.setName("rascal-proxy")
    return made


class ProxyService(service.MultiService):
    """Owns the node and the control API; children of later parts (agents) can be added."""

    def __init__(
        self, configuration: Configuration, read: Callable[[], Configuration], reactor: Any
    ) -> None:
        super().__init__()
        from rascal.proxy.node import Node

        self.reactor = reactor
        self.node = Node(configuration, reactor, read=read, compare=difference)
        self.control: Any = None
        self._hup: Any = None
        self._thresholds = gc.get_threshold()

    def privilegedStartService(self) -> None:
        """Bind every port, or end the process with one line."""
        _raise_descriptors()
        try:
            self.node.open()
            self._open_control()
        except RascalError as error:
            self.node.abandon()
            raise SystemExit(f"rascal-proxy: {error}") from error
        super().privilegedStartService()

    def startService(self) -> None:
        """Let clients in."""
        super().startService()
        if not self.node.opened:  # a parent that never calls privilegedStartService
            self.privilegedStartService()
        self.node.start()
        self._hup = _on_hup(self._reload_soon)
        gc.collect()
        gc.freeze()
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*GC_THRESHOLDS)
        for error in broken_extensions():
            log.error("{error}", error=str(error))
        for proxy in self.node.proxies.values():
            log.info("{proxy}", proxy=proxy.describe())

    def stopService(self) -> Deferred[Any]:
        """Let nobody in, end what is left within a bound."""
        if self._hup is not None:
            self._hup()
            self._hup = None
        gc.set_threshold(*self._thresholds)
        waits = [super().stopService(), self.node.stop()]
        if self.control is not None:
            waits.append(self.control.stopListening())
            self.control = None
        return DeferredList([wait for wait in waits if isinstance(wait, Deferred)])

    def _open_control(self) -> None:
        address = self.node.configuration.control
        if address is None:
            return
        from rascal.control import check_exposure, make_site

        configuration = self.node.configuration
        check_exposure(configuration)
        pages = NodePages(self.node, self.reactor)
        site = secured(make_site(self.node, pages), configuration)
        self.control = listen_site(self.reactor, address, site)
        scheme = "https" if configuration.control_certificate else "http"
        log.info("control API on {scheme}://{address}", scheme=scheme, address=address)
        if configuration.compatible == "open" and not is_loopback(address):
            log.warn(
                "compatible = open: whoever reaches {address} changes proxies", address=address
            )
        if any(token.plain for token in configuration.tokens):
            log.warn("a token stands unhashed in [rascal] tokens: write sha256:HEX in its place")

    def _reload_soon(self) -> None:
        self.reactor.callFromThread(self.reload)

    def reload(self) -> None:
        """Read the file again and apply what differs; a bad file changes nothing."""
        try:
            changes = self.node.reload()
        except ConfigErrors as errors:
            for finding in errors.findings:
                log.error("reload: {finding}", finding=str(finding))
            log.error("reload: nothing was changed")
        except RascalError as error:
            log.error("reload: {error}; nothing was changed", error=str(error))
        except Exception:
            log.failure("reload failed")
        else:
            log.info("reload: {summary}", summary=changes.summary())


class NodePages:
    """The panel's pages about this node alone, for browsers that come to its control port.

    They are loaded, in a thread, when a browser asks for the first time: most nodes never show one,
    and proxies must not stand still meanwhile.
    """

    def __init__(self, node: Any, reactor: Any) -> None:
        self._node = node
        self._reactor = reactor
        self._pages: Any = None

    def __call__(self, request: Any, path: str) -> Any:
        """An answer to what a browser asks for a page; None if it is something else."""
        if request.method not in (b"GET", b"HEAD"):
            return None
        shown = b"text/html" in (request.getHeader(b"accept") or b"")
        page = shown and (path in ("", "proxies") or path.startswith("proxies/"))
        if not page and not path.startswith("static/"):
            return None
        if self._pages is not None:
            return self._pages.answer(request, path)
        from twisted.internet.threads import deferToThreadPool
        from twisted.web.server import NOT_DONE_YET

        pool = self._reactor.getThreadPool()
        loaded = deferToThreadPool(self._reactor, pool, self._load)
        loaded.addCallback(lambda _: self._late(request, path))
        loaded.addErrback(lambda failure: log.failure("a page could not be shown", failure))
        return NOT_DONE_YET

    def _load(self) -> None:
        from rascal.panel.alone import Pages

        self._pages = Pages(self._node)

    def _late(self, request: Any, path: str) -> None:
        if request.channel is not None:
            request.write(self._pages.answer(request, path))
            request.finish()


def secured(site: Any, configuration: Configuration) -> Any:
    """The site, over TLS if there is a certificate for it. Raises ConfigError."""
    if not configuration.control_certificate:
        return site
    from twisted.protocols.tls import TLSMemoryBIOFactory

    from rascal.control.tls import context_factory

    contexts = context_factory(configuration.control_certificate, configuration.control_key)
    return TLSMemoryBIOFactory(contexts, False, site)


def listen_site(reactor: Any, address: Any, site: Any) -> Any:
    """Serve a site at an address of the configuration. Raises ListenError."""
    from twisted.internet.error import CannotListenError

    from rascal.proxy.listener import ListenError

    try:
        if address.type == "unix":
            return reactor.listenUNIX(address.path, site)
        return reactor.listenTCP(address.port, site, interface=address.host)
    except CannotListenError as error:
        text = getattr(error.socketError, "strerror", None) or str(error.socketError)
        raise ListenError(
            f"[rascal] control: cannot listen on {address}: {text.lower()}"
        ) from error


def _raise_descriptors() -> None:
    """Have as many descriptors as we may: every connection through a proxy takes two."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _on_hup(call: Callable[[], None]) -> Callable[[], None] | None:
    """Call on SIGHUP; returns what undoes it. Only the main thread can."""
    if not hasattr(signal, "SIGHUP") or sys.platform == "win32":
        return None

    def hup(number: int, frame: FrameType | None) -> None:
        call()

    try:
        before = signal.signal(signal.SIGHUP, hup)
    except ValueError:
        return None

    def undo() -> None:
        signal.signal(signal.SIGHUP, before or signal.SIG_DFL)

    return undo
