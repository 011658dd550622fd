"""What the panel's operator sets: the options of [panel]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from rascal.config import Token
from rascal.config.clashes import is_loopback
from rascal.config.section import read_section
from rascal.config.tokens import HASHED
from rascal.control._auth import ROLES
from rascal.errors import ConfigError, ConfigErrors
from rascal.language import Address, parse, parse_option, plain
from rascal.options import Option, OptionTable

SECTION = "panel"
NODE = "http://127.0.0.1:8474"

PANEL = OptionTable(
    Option("listen", "address", "Where the panel is", "127.0.0.1:8480"),
    Option("nodes", "text", "Control URLs of the rascal-proxy processes: [NAME=]URL, …", NODE),
    Option("node_token", "text", "Token for the nodes' control API; RASCAL_TOKEN without it"),
    Option("redis", "text", "Redis of the agents; without it load runs in processes of its own"),
    Option("store", "text", "File of the run store; without it that of the `rascal` command"),
    Option("scenarios", "text", "Folder of scenario files", "."),
    Option("experiments", "text", "Folder of experiment files", "."),
    Option("hosts", "text", "Further names that the panel is called by"),
    Option("tokens", "text", "Who may log in: ROLE TOKEN [NAME] lines, tokens as sha256:…"),
    Option(
        "login",
        ("token", "none"),
        "none: whoever reaches the panel is admin, also off loopback; for a container whose port "
        "is published on 127.0.0.1 alone",
        "token",
    ),
    Option("targets", "text", "Hosts and networks off loopback that load may be sent to"),
    Option("running", "positive", "Runs at the same time; others wait in the queue", 1, maximum=64),
    Option("repositories", "flag", "Take jobs from git repositories (runs their code)", False),
    Option(
        "repository_folders",
        "text",
        "Folders of this machine whose repositories and sub-folders may be jobs as well",
    ),
    Option("session", "duration", "How long a log-in lasts", 12 * 3600.0, minimum=60.0),
    Option("webhook", "text", "URL that is told of the end of every run"),
    Option("mail", "text", "SMTP server and addresses: smtp://HOST:PORT/?from=A&to=B"),
    Option("command", "text", "Command that is run at the end of every run"),
    Option("link", "text", "URL by which people reach the panel, for webhooks and mails"),
    Option("log", ("text", "json"), "How the log is written", "text"),
)
"""The options of [panel]."""


@attrs.frozen(kw_only=True)
class Settings:
    """The panel's options, checked."""

    listen: Address
    nodes: Mapping[str, str]
    node_token: str = attrs.field(default="", repr=False)
    redis: str = attrs.field(default="", repr=False)
    store: str = ""
    scenarios: str = "."
    experiments: str = "."
    hosts: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    targets: tuple[str, ...] = ()
    running: int = 1
    repositories: bool = False
    repository_folders: tuple[str, ...] = ()
    session: float = 12 * 3600.0
    webhook: str = attrs.field(default="", repr=False)
    mail: str = attrs.field(default="", repr=False)
    command: str = ""
    link: str = ""
    log: str = "text"

    @property
    def control(self) -> Address:
        """The address, by the name that the checks of Host and Origin know."""
        return self.listen

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host = self.listen.host if self.listen.host not in ("", "0.0.0.0", "::") else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.listen.port}/"


def settings_of(path: str | None, given: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Read and check; the command line comes before the file.

    Raises:
        ConfigErrors: everything that is wrong.
    """
    findings: list[ConfigError] = []
    values: dict[str, Any] = {}
    if path:
        values |= read_section(path, SECTION, PANEL, _value, environ, findings)
    for name, text in given.items():
        try:
            values[name] = _value(PANEL[name], text)
        except ConfigError as error:
            findings.append(ConfigError(f"--{name.replace('_', '-')}: {error.message}"))
    options = PANEL.plain(values)
    try:
        made = _checked(options, environ)
    except ConfigErrors as errors:
        findings += errors.findings
    if findings:
        raise ConfigErrors(findings)
    return made


def check_places(settings: Settings) -> None:
    """Whether folders and files are there, on the machine where the panel runs.

    Raises:
        ConfigErrors: what is not.
    """
    findings = []
    for name in ("scenarios", "experiments"):
        folder = Path(getattr(settings, name)).expanduser()
        if not folder.is_dir():
            text = f"'{name}' is no folder: {folder}"
            findings.append(ConfigError(text, section=SECTION, option=name, value=str(folder)))
    if settings.store and Path(settings.store).expanduser().is_dir():
        text = f"'store' is a folder: {settings.store}; name a file"
        findings.append(ConfigError(text, section=SECTION, option="store", value=settings.store))
    if findings:
        raise ConfigErrors(findings)


def _checked(options: Any, environ: Mapping[str, str]) -> Settings:
    findings: list[ConfigError] = []
    listen = options.listen
    if isinstance(listen, str):
        listen = parse("address", listen)
    tokens = tuple(_tokens(options.tokens or "", findings))
    if options.login == "none" and tokens:
        text = "'login = none' lets everybody in, and there are tokens: leave one of them out"
        findings.append(ConfigError(text, section=SECTION, option="login", value="none"))
    if not tokens and options.login != "none" and not is_loopback(listen):
        text = f"the panel on {listen} needs tokens: set 'tokens', or listen on 127.0.0.1"
        findings.append(ConfigError(text, section=SECTION, option="listen", value=str(listen)))
    nodes = dict(_nodes(options.nodes, findings))
    folders = tuple(_folders(options.repository_folders, findings))
    _check_observers(options, findings)
    if findings:
        raise ConfigErrors(findings)
    kept = {
        name: getattr(options, name) or ""
        for name in ("redis", "store", "scenarios", "experiments", "webhook", "mail", "command",
                     "link")
    }  # fmt: skip
    return Settings(
        listen=listen,
        nodes=nodes,
        node_token=options.node_token or environ.get("RASCAL_TOKEN", ""),
        hosts=tuple(_words(options.hosts)),
        tokens=tokens,
        targets=tuple(_words(options.targets)),
        running=options.running,
        repositories=options.repositories,
        repository_folders=folders,
        session=options.session,
        log=options.log,
        **kept,
    )


def _words(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def _folders(text: str | None, findings: list[ConfigError]) -> Any:
    for word in _words(text):
        if word.startswith(("/", "~")):
            yield word
        else:
            message = f"'{word}' is no absolute path of a folder"
            option = "repository_folders"
            findings.append(ConfigError(message, section=SECTION, option=option, value=word))


def _check_observers(options: Any, findings: list[ConfigError]) -> None:
    """URLs of observers, and of links to here."""
    from rascal.panel.mailing import mail_problem

    for name in ("webhook", "link"):
        value = getattr(options, name) or ""
        if value and not value.startswith(("http://", "https://")):
            message = f"'{value}' is no URL, such as https://example.org/rascal"
            findings.append(ConfigError(message, section=SECTION, option=name, value=value))
    problem = mail_problem(options.mail) if options.mail else ""
    if problem:
        findings.append(ConfigError(problem, section=SECTION, option="mail"))


def _nodes(text: str, findings: list[ConfigError]) -> Any:
    seen: set[str] = set()
    for number, word in enumerate(_words(text)):
        name, equals, url = word.partition("=")
        if not equals or "/" in name:
            name, url = ("main" if number == 0 else f"node{number + 1}"), word
        if not url.startswith(("http://", "https://")):
            message = f"'{url}' is no URL of a control API, such as {NODE}"
            findings.append(ConfigError(message, section=SECTION, option="nodes", value=word))
        elif name in seen:
            message = f"two nodes are called '{name}': write NAME=URL"
            findings.append(ConfigError(message, section=SECTION, option="nodes", value=word))
        else:
            seen.add(name)
            yield name, url.rstrip("/")


def _tokens(text: str, findings: list[ConfigError]) -> Any:
    for line in (line.strip() for line in text.splitlines()):
        if not line:
            continue
        role, _, rest = line.partition(" ")
        found = HASHED.fullmatch(rest.strip())
        if role not in ROLES or not found:
            message = (
                f"a token is written as ROLE sha256:… NAME, with a role of {', '.join(ROLES)} "
                "(rascal token makes one)"
            )
            findings.append(ConfigError(message, section=SECTION, option="tokens", value=role))
            continue
        yield Token(role=role, secret=found[1], name=found[2] or "")


def _value(option: Option, text: str) -> Any:
    """The plain value of a text. Raises ConfigError."""
    if option.name == "tokens":  # lines
        return text
    if option.type == "text":
        if not text.strip():
            raise ConfigError(f"'{option.name}' is empty")
        return " ".join(text.split())
    return plain(parse_option(option, text))
