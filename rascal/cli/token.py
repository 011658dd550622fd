"""`rascal token ROLE [NAME]`: a secret for a client, and the line of it for proxies.ini."""

from __future__ import annotations

import sys

import click

from rascal.cli.output import as_json, cannot, say
from rascal.errors import ConfigError

ROLES = ("viewer", "operator", "admin")
SHORTEST = 16


@click.command()
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name", required=False, default="")
@click.option("--hash", "stdin", is_flag=True, help="Hash a secret that comes on standard input.")
@click.option("--json", "json_", is_flag=True, help="For programs: the same as JSON.")
def token(role: str, name: str, stdin: bool, json_: bool) -> None:
    """Make a token for the control API. NAME says whose it is.

    The line goes into [rascal] tokens of proxies.ini; it holds a hash, the secret stands nowhere
    but here. Clients take the secret from RASCAL_TOKEN or from the file that RASCAL_TOKEN_FILE
    names, never from a command line, where others could read it.
    """
    from rascal.config.tokens import hash_token, make_token

    with cannot():
        secret = _read() if stdin else make_token()
    line = f"{role} {hash_token(secret)} {name}".rstrip()
    if json_:
        as_json({"role": role, "name": name, "line": line} | ({} if stdin else {"token": secret}))
    elif stdin:
        say(line)
    else:
        say(f"token  {secret}")
        say(f"line   {line}")


def _read() -> str:
    secret = sys.stdin.readline(4096).strip()
    if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable():
        raise ConfigError(f"a secret is one line of at least {SHORTEST} printable ASCII characters")
    return secret
