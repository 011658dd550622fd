"""How observers are told: HTTP (webhook), SMTP (mail), a process (command)."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from twisted.internet import defer
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError
from twisted.logger import Logger

from rascal import __version__
from rascal.panel.helpers import Helpers
from rascal.panel.mailing import Mail, mail_of, message_of, send, shut

log = Logger()

SECONDS = 15.0
"""For a webhook's answer."""
COMMAND = 60.0
"""Seconds that a command may take."""
AGAIN = (408, 425, 429)
"""Refusals that may be none a little later."""
LATE = (defer.TimeoutError, TimeoutError, ConnectingCancelledError, CancelledError)
"""How a request ends that takes too long."""
SAID = 2000
"""Characters of what a command says that are kept."""


class Refused(Exception):
    """It was not delivered. `final`: nor will it be."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Channel(Protocol):
    """A way to tell somebody."""

    shown: str
    """For pages: where to, without secrets."""

    async def deliver(self, told: Mapping[str, Any]) -> None:
        """Tell it. Raises Refused."""

    def close(self) -> None:
        """Nothing is left under way."""


def channels_of(panel: Any) -> dict[str, Channel]:
    """Those that the settings name."""
    settings = panel.settings
    found: dict[str, Channel] = {}
    if settings.webhook:
        found["webhook"] = Webhook(settings.webhook, panel.reactor)
    if settings.mail:
        found["mail"] = MailChannel(mail_of(settings.mail), Helpers(panel.reactor))
    if settings.command:
        found["command"] = Command(settings.command, Helpers(panel.reactor))
    return found


class Webhook:
    """POST of JSON; any 2xx is good. Redirects are not followed: the operator named the place."""

    def __init__(self, url: str, reactor: Any) -> None:
        self.url = url
        found = urlsplit(url)
        self.shown = f"{found.scheme}://{found.hostname or ''}" + (
            f":{found.port}" if found.port else ""
        )
        self._reactor = reactor
        self._client: Any = None

    @property
    def client(self) -> Any:
        """Made when it is needed; keeps no connection."""
        if self._client is None:
            from treq.client import HTTPClient
            from twisted.web.client import Agent, HTTPConnectionPool

            pool = HTTPConnectionPool(self._reactor, persistent=False)
            self._client = HTTPClient(Agent(self._reactor, connectTimeout=SECONDS, pool=pool))
        return self._client

    async def deliver(self, told: Mapping[str, Any]) -> None:
        """See Channel."""
        headers = {
            "content-type": "application/json",
            "user-agent": f"rascal/{__version__}",
            "x-rascal-event": str(told["event"]),
            "x-rascal-delivery": str(told["id"]),
        }
        try:
            data = json.dumps(told).encode()
            asked = self.client.post(
                self.url, data=data, headers=headers, allow_redirects=False, timeout=SECONDS
            )
            response = await asked
            got = [0]

            def count(part: bytes) -> None:
                got[0] += len(part)

            with suppress(Exception):  # what it says does not matter
                from treq import collect

                await collect(response, count).addTimeout(SECONDS, self._reactor)
        except CancelledError:
            raise
        except Exception as error:
            if isinstance(_cause(error), LATE):
                raise Refused(f"no answer within {SECONDS:g} s") from error
            raise Refused(_words(error)) from error
        code = response.code
        if not 200 <= code < 300:
            final = 300 <= code < 500 and code not in AGAIN
            raise Refused(f"it answered {code}", final=final)

    def close(self) -> None:
        """See Channel."""


def _cause(error: Exception) -> BaseException:
    """Twisted keeps the reasons of broken requests in a list."""
    reasons = getattr(error, "reasons", None)
    return reasons[0].value if reasons else error


def _words(error: Exception) -> str:
    """A line about an error."""
    text = str(_cause(error)).strip().rstrip(".").split("\n")[0]
    return (text or type(error).__name__)[:300]


class MailChannel:
    """A mail whose subject is the verdict's sentence."""

    def __init__(self, mail: Mail, helpers: Helpers) -> None:
        self.mail = mail
        self.shown = mail.shown
        self._helpers = helpers
        self._open: list[smtplib.SMTP] = []

    async def deliver(self, told: Mapping[str, Any]) -> None:
        """See Channel."""
        message = message_of(self.mail, told["sentence"], text_of(told), str(told["id"]))
        try:
            await self._helpers.run(send, self.mail, message, self._open.append)
        except CancelledError:
            raise
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            final = 500 <= error.smtp_code < 600
            raise Refused(f"the server said {error.smtp_code} {text}"[:300], final=final) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise Refused("the server takes none of the addresses", final=True) from error
        except Exception as error:
            raise Refused(_words(error)) from error
        finally:
            self._open.clear()

    def close(self) -> None:
        """See Channel."""
        for server in list(self._open):
            shut(server)
        self._helpers.close()


def text_of(told: Mapping[str, Any]) -> str:
    """The body of a mail."""
    run = told["run"]
    lines = [str(told["sentence"]), "", str(told["link"]), ""]
    facts = [
        ("Target", run.get("target")),
        ("Outcome", run.get("outcome")),
        ("Started by", run.get("by")),
        ("Labels", ", ".join(run.get("labels") or ())),
        ("Seed", run.get("seed")),
        ("On", run.get("host")),
    ]
    lines += [f"{name}: {value}" for name, value in facts if value not in (None, "")]
    job = told.get("job")
    if job:
        lines.append(f"Job: {job.get('name', '')} {str(job.get('commit', ''))[:12]}".rstrip())
    return "\n".join(lines) + "\n"


class Command:
    """A command of the operator, by the shell, in a session of its own. What it is told stands in
    its environment and, as JSON, on its input: never in its text."""

    def __init__(self, command: str, helpers: Helpers, seconds: float = COMMAND) -> None:
        self.command = command
        self.seconds = seconds
        self.shown = command.split()[0] if command.split() else ""
        self._helpers = helpers

    async def deliver(self, told: Mapping[str, Any]) -> None:
        """See Channel."""
        try:
            why = await self._helpers.run(self._run, told)
        except CancelledError:
            raise
        except Exception as error:
            raise Refused(_words(error)) from error
        if why:
            raise Refused(why)

    def _run(self, told: Mapping[str, Any]) -> str:
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as given:
            given.write(json.dumps(told).encode())
            given.seek(0)
            process = self._helpers.begin(
                ["/bin/sh", "-c", self.command],
                stdin=given, stdout=said, stderr=subprocess.STDOUT, env=variables(told),
            )  # fmt: skip
            try:
                status = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                return f"it was not done after {self.seconds:g} s, and was ended"
            finally:
                self._helpers.end(process)
            said.seek(max(0, said.tell() - SAID))
            text = said.read().decode("utf-8", "replace").strip()
        if status == 0:
            return ""
        last = text.splitlines()[-1] if text else ""
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return f"it ended with {how}{f': {last}' if last else ''}"[:300]

    def close(self) -> None:
        """See Channel."""
        self._helpers.close()


def variables(told: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a command: ours without tokens, and what it is told."""
    run = told["run"]
    found = {name: value for name, value in os.environ.items() if not name.startswith("RASCAL_")}
    values = {
        "EVENT": told["event"],
        "DELIVERY": told["id"],
        "RUN": run.get("id"),
        "NAME": run.get("name"),
        "KIND": run.get("kind"),
        "OUTCOME": run.get("outcome"),
        "STATUS": run.get("status"),
        "TARGET": run.get("target"),
        "WORD": told["verdict"]["word"],
        "SENTENCE": told["sentence"],
        "LINK": told["link"],
        "LABELS": ",".join(run.get("labels") or ()),
        "COMMIT": (told.get("job") or {}).get("commit"),
    }
    for name, value in values.items():
        text = "" if value is None else str(value)
        found[f"RASCAL_{name}"] = text.replace("\0", "")
    return found
