"""`rascal wrap`: proxies before what an application needs, from its Compose file or a list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from rascal.cli.output import NOT_WELL, as_json, cannot, leave, say, table
from rascal.errors import ConfigError, ConfigErrors, did_you_mean

if TYPE_CHECKING:
    from rascal.wrapping.plans import Backend, Wrap
    from rascal.wrapping.recognising import Told
    from rascal.wrapping.words import Server
    from rascal.wrapping.writing import File

OUTPUT = "docker-compose.rascal.yml"
FOLDER = "rascal"
SCENARIOS = "scenario.py"
ANYWHERE = "http://127.0.0.1:8080"
"""Of the application, where nothing says it."""


@attrs.frozen(kw_only=True)
class Flags:
    """The flags of the command."""

    file: tuple[str, ...]
    env_file: tuple[str, ...]
    check: bool
    json_: bool
    as_: tuple[str, ...]
    skip: tuple[str, ...]
    target: str | None
    image: str | None
    panel: bool
    keep_ports: bool
    control: int
    output: str
    to: str
    force: bool


@click.command()
@click.argument("what", nargs=-1, metavar="[FILE | FOLDER | SERVER…]")
@click.option("-f", "--file", multiple=True, metavar="FILE", help="Compose files, as for Compose.")
@click.option("--env-file", multiple=True, metavar="FILE", help="In place of .env.")
@click.option("--check", is_flag=True, help="Explain what would be done, and do nothing.")
@click.option("--json", "json_", is_flag=True, help="With --check, for programs: as JSON.")
@click.option(
    "--as", "as_", multiple=True, metavar="NAME=PROTOCOL[:PORT]", help="What a service speaks."
)
@click.option("--skip", multiple=True, metavar="NAME", help="A service to be left as it is.")
@click.option("--target", metavar="URL", help="Where the application is, for experiments.")
@click.option("--image", metavar="IMAGE", help="That holds Rascal (rascal).")
@click.option("--panel", is_flag=True, help="The panel, too.")
@click.option("--keep-ports", is_flag=True, help="Publish for all what was published for all.")
@click.option("--control", metavar="PORT", default=8474, help="Where proxies are controlled.")
@click.option("--output", metavar="NAME", default=OUTPUT, help=f"The Compose file ({OUTPUT}).")
@click.option("--to", metavar="FOLDER", default=FOLDER, help=f"For all other files ({FOLDER}).")
@click.option("--force", is_flag=True, help="Write files that are there already.")
def wrap(what: tuple[str, ...], **given: Any) -> None:
    """Put proxies before everything that an application needs. Its own files stay as they are.

    \b
    rascal wrap --check                      what is in the Compose project here?
    rascal wrap docker-compose.yml           write what is needed to run it with proxies
    rascal wrap db=mysql://10.0.0.5:3306 cache=memcached://10.0.0.6

    From a Compose project comes another Compose file, in which proxies stand before the servers
    under the servers' names, with a proxies.ini and an experiment for each. From a list of servers
    (NAME=PROTOCOL://HOST:PORT or HOST:PORT) come a proxies.ini, the experiments, and where to point
    the application at.
    """
    from rascal.wrapping.words import is_server

    flags = Flags(**given)
    servers = [word for word in what if is_server(word) and not Path(word).exists()]
    with cannot():
        if not 0 < flags.control < 65536:
            raise ConfigError("--control: a port is a number from 1 to 65535")
        for name in (flags.to, flags.output):
            if not name or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ConfigError(f"'{name}' must lie in the project's folder")
        if servers:
            if len(servers) < len(what) or flags.file:
                other = next((word for word in what if word not in servers), "--file")
                raise ConfigError(
                    f"a list of servers and a Compose file ({other}) are two things: one at a time"
                )
            of_servers(servers, flags)
        else:
            if len(what) > 1:
                raise ConfigError("several Compose files are given by -f: -f a.yml -f b.yml")
            of_project(what[0] if what else None, flags)


# ---- a Compose project


def of_project(path: str | None, flags: Flags) -> None:
    """Wrap a Compose project. Raises ConfigErrors."""
    from rascal.cli.wrap_plan import data_of, explain
    from rascal.config import installed
    from rascal.wrapping.planning import plan
    from rascal.wrapping.reading import chosen, read_project
    from rascal.wrapping.shapes import shape

    files = chosen(path, flags.file, os.environ)
    project = shape(read_project(files, os.environ, env_files=flags.env_file))
    protocols = installed().protocols
    told = told_of(flags.as_, protocols)
    found = plan(project, protocols, told=told, skip=flags.skip, control=flags.control)
    if flags.check:
        if flags.json_:
            as_json(data_of(found))
        else:
            explain(found, keep_ports=flags.keep_ports)
        if not found.nodes:
            leave(NOT_WELL)
        return
    if not found.nodes:
        explain(found, keep_ports=flags.keep_ports)
        raise ConfigError("there is nothing to put a proxy before: nothing was written")
    from rascal.wrapping.writing import write

    made = files_of(found, flags)
    write(made, force=flags.force)
    for note in found.notes:
        say(f"! {note}", err=True)
    for one in made:
        if one.about:
            say(f"{one.path}  {one.about}")
    next_steps(found, flags)


def told_of(words: Sequence[str], protocols: Any) -> dict[str, list[Told]]:
    """What --as says. Raises ConfigErrors."""
    from rascal.wrapping.recognising import FALLBACK, Told

    found: dict[str, list[Told]] = {}
    findings = []
    for word in words:
        name, equals, rest = word.partition("=")
        protocol, colon, port = rest.partition(":")
        known = [*protocols, *FALLBACK]
        if not (name and equals and protocol) or (colon and not port.isdigit()):
            findings.append(ConfigError(f"--as: '{word}' is not NAME=PROTOCOL or …:PORT"))
        elif protocol not in known:
            findings.append(
                ConfigError(
                    f"--as: there is no protocol '{protocol}'; protocols: {', '.join(known)}."
                    + did_you_mean(protocol, known)
                )
            )
        elif port and not 0 < int(port) < 65536:
            findings.append(ConfigError(f"--as: '{word}': a port is 1 to 65535"))
        else:
            found.setdefault(name, []).append(Told(protocol=protocol, port=int(port or 0)))
    if findings:
        raise ConfigErrors(findings)
    return found


def files_of(found: Wrap, flags: Flags) -> list[File]:
    """Everything that is written."""
    from rascal.config.tokens import hash_token
    from rascal.wrapping.composing import IMAGE, PLACE, Wish, compose_text, ini_of
    from rascal.wrapping.inifile import called, node_ini, panel_ini
    from rascal.wrapping.writing import File, token_in

    home = found.project.source.folder
    folder = home / flags.to
    token = token_in(folder / "token")
    hashed = hash_token(token)
    wish = Wish(
        image=flags.image or IMAGE,
        folder=flags.to,
        keep_ports=flags.keep_ports,
        panel=flags.panel,
    )
    names = ", ".join(found.backends)
    head = HEAD.format(
        files=" ".join(found.project.source.files), output=flags.output, names=names, to=flags.to
    )
    made = [
        File(
            path=home / flags.output,
            text=compose_text(found, wish, head),
            about=f"the project with proxies before {names}",
        )
    ]
    for node in found.nodes:
        path = folder / ini_of(node)
        text = node_ini(node, found, hashed, str(folder))
        made.append(File(path=path, text=text, about="its proxies, and faults to try"))
    urls = {name: f"http://127.0.0.1:{node.control}" for name, node in called(found).items()}
    for name, node in called(found).items():
        for backend in node.backends:
            if backend.name == found.entry:
                continue
            made.append(_experiment(backend, found, folder, urls[name], flags))
    made += _scenario(folder)
    made.append(File(path=folder / "token", text=f"{token}\n", secret=True))
    made.append(File(path=folder / ".gitignore", text="token\npanel.env\n"))
    if flags.panel:
        made.append(File(path=folder / "panel.ini", text=panel_ini(found, hashed, PLACE)))
        made.append(File(path=folder / "panel.env", text=f"RASCAL_TOKEN={token}\n", secret=True))
    if flags.force:  # scenarios are work of the user's own by now
        made = [one for one in made if one.path.name != SCENARIOS or not one.path.exists()]
    return made


HEAD = """\
# {files} with proxies before {names}.
# Written by `rascal wrap` and complete in itself; nothing else was changed. Do not edit it: change
# the original, then run `rascal wrap --force`.
#
#   docker compose -f {output} up
#   docker compose -f {output} down && docker compose up
#                                       without proxies again, with the same volumes
#
# The servers are on networks of their own now; under their names the proxies answer. What the
# proxies do: {to}/proxies.ini.
"""


def _experiment(backend: Backend, found: Wrap, folder: Path, node: str, flags: Flags) -> File:
    from rascal.wrapping.writing import File

    proxy = backend.proxies[0]
    path = folder / f"{proxy.name}.yml"
    text = experiment_text(
        str(path),
        proxy=proxy.name,
        protocol=proxy.endpoint.protocol,
        target=flags.target or found.target or ANYWHERE,
        node=node,
        token=str(folder / "token"),
        service=backend.name,
        sure=bool(flags.target or found.target),
    )
    return File(path=path, text=text, about=f"an experiment: what if {backend.name} hangs?")


def experiment_text(
    file: str,
    *,
    proxy: str,
    protocol: str,
    target: str,
    node: str,
    token: str = "",
    service: str = "",
    sure: bool = True,
) -> str:
    """A starter experiment for a dependency. Raises ConfigErrors."""
    from rascal.experiment.reading import experiment_of
    from rascal.experiment.starter import Answers, quoted
    from rascal.wrapping.inifile import MAIN, TRIES

    tries = [f"#   - {quoted(f'{one} on {proxy}')}" for one in TRIES.get(protocol, ())]
    if service:
        tries.append(f"#   - pause on service.{service}          # the container itself")
    answers = Answers(
        target=target,
        scenarios=SCENARIOS,
        rate="50/s",
        node=node,
        proxy=proxy,
        fault=MAIN.get(protocol, "hang"),
        expect="graceful",
        more="\n".join(tries),
    )
    head = ""
    if token:
        head += f"# The proxies want their token: export RASCAL_TOKEN_FILE={token}\n#\n"
    if not sure:
        head += "# NOTHING SAID WHERE THE APPLICATION IS: correct `target` below.\n#\n"
    text = head + answers.text(file)
    experiment_of(text, file)
    return text


def _scenario(folder: Path) -> list[File]:
    from rascal.cli.load.init import STARTER
    from rascal.wrapping.writing import File

    path = folder / SCENARIOS
    text = STARTER.format(file=path)
    return [File(path=path, text=text, about="what users do in them, to be made yours")]


def next_steps(found: Wrap, flags: Flags) -> None:
    """What to do with it."""
    folder = found.project.source.folder
    say()
    say("Next:")
    say(f"  docker compose -f {folder / flags.output} up -d")
    say(f"  export RASCAL_TOKEN_FILE={folder / flags.to / 'token'}")
    node = found.nodes[0]
    url = "" if node.control == 8474 else f" --url http://127.0.0.1:{node.control}"
    say(f"  rascal{url} add {next(node.proxies).name} delay 2s for 30s")
    first = next((one for one in found.backends.values() if one.name != found.entry), None)
    if first is not None:
        say(f"  rascal experiment run {folder / flags.to / first.proxies[0].name}.yml")
    if flags.panel:
        say("  http://127.0.0.1:8480/      the panel; log in with the token")


# ---- a list of servers


def of_servers(words: Sequence[str], flags: Flags) -> None:
    """Wrap servers that are named one by one. Raises ConfigErrors."""
    from rascal.config import installed
    from rascal.wrapping.inifile import MAIN
    from rascal.wrapping.words import HOME, servers_of, words_ini
    from rascal.wrapping.writing import File, write

    servers = servers_of(words, installed().protocols, flags.control)
    if flags.check and flags.json_:
        as_json({"servers": [{**attrs.asdict(one), "here": one.here} for one in servers]})
        return
    folder = Path(flags.to)
    made = [
        File(
            path=folder / "proxies.ini",
            text=words_ini(servers, flags.control),
            about=f"{len(servers)} proxies, and faults to try".replace("1 proxies", "a proxy"),
        )
    ]
    for one in servers:
        path = folder / f"{one.name}.yml"
        text = experiment_text(
            str(path),
            proxy=one.name,
            protocol=one.protocol,
            target=flags.target or ANYWHERE,
            node=f"http://{HOME}:{flags.control}",
            sure=bool(flags.target),
        )
        does = "loses requests" if one.protocol in MAIN else "hangs"
        made.append(File(path=path, text=text, about=f"an experiment: what if {one.name} {does}?"))
    made += _scenario(folder)
    if flags.force:
        made = [one for one in made if one.path.name != SCENARIOS or not one.path.exists()]
    if not flags.check:
        write(made, force=flags.force)
        for file in made:
            say(f"{file.path}  {file.about}")
        say()
    _point(servers)
    if not flags.check:
        say()
        say("Next:")
        say(f"  twistd -n --pidfile= rascal-proxy --config {folder / 'proxies.ini'}")
        say(f"  rascal add {servers[0].name} delay 2s for 30s")
        say(f"  rascal experiment run {folder / servers[0].name}.yml")


def _point(servers: Sequence[Server]) -> None:
    """Where the application has to connect to."""
    from rascal.wrapping.recognising import TITLES

    rows = []
    for one in servers:
        protocol = one.protocol
        if one.spoken != protocol:
            protocol += f" ({TITLES.get(one.spoken, one.spoken)})"
        rows.append([one.name, protocol, one.instead, one.here + (" (no TLS)" if one.tls else "")])
    say("Point the application at:")
    table(["PROXY", "PROTOCOL", "INSTEAD OF", "POINT IT AT"], rows)
