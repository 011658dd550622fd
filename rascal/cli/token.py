"""`rascal token`: a secret for a client of the control API, or what the shared one is known by."""

from __future__ import annotations

import sys

import click

from rascal.cli.output import as_json, cannot, say
from rascal.errors import ConfigError

ROLES = ("viewer", "operator", "admin")
SHORTEST = 16


@click.group()
def token() -> None:
    """Make a token for the control API, or show the fingerprint of the one that agents share.

    Clients take their secret from RASCAL_TOKEN or from the file that RASCAL_TOKEN_FILE names,
    never from a command line, where others could read it.
    """


def _maker(role: str) -> click.Command:
    """`rascal token ROLE [NAME]`."""

    @click.command(role, help=MAKES.format(role), short_help=f"Make a token of role {role}.")
    @click.argument("name", required=False, default="")
    @click.option("--hash", "stdin", is_flag=True, help="Hash a secret from standard input.")
    @click.option("--json", "json_", is_flag=True, help="For programs: the same as JSON.")
    def make(name: str, stdin: bool, json_: bool) -> None:
        from rascal.config.tokens import hash_token, make_token

        with cannot():
            secret = _read() if stdin else make_token()
        line = f"{role} {hash_token(secret)} {name}".rstrip()
        if json_:
            head = {"role": role, "name": name, "line": line}
            as_json(head | ({} if stdin else {"token": secret}))
        elif stdin:
            say(line)
        else:
            say(f"token  {secret}")
            say(f"line   {line}")

    return make


MAKES = """Make a token of role {} for the control API. NAME says whose it is.

The line goes into [rascal] tokens of proxies.ini; it holds a hash, the secret stands nowhere
but here."""

for _role in ROLES:
    token.add_command(_maker(_role))


@token.command()
@click.option("--token-file", metavar="FILE", help="Holds the token that agents share.")
@click.option("--json", "json_", is_flag=True, help="For programs: the same as JSON.")
def fingerprint(token_file: str | None, json_: bool) -> None:
    """Show what targets prove with that they may be loaded.

    It tells the token that coordinator, panel and agents share (--token-file, RASCAL_TOKEN_FILE
    or RASCAL_TOKEN) and gives nothing away. A target that has the line in its file
    /.well-known/rascal-target is allowed wherever that token is known.
    """
    from rascal.cli.load.reaching import token_of
    from rascal.load.targets import PROOF
    from rascal.load.targets import fingerprint as of

    with cannot():
        secret = token_of(token_file)
        if not secret:
            raise ConfigError(
                "which token? --token-file FILE, or RASCAL_TOKEN_FILE, or RASCAL_TOKEN"
            )
    line = of(secret)
    if json_:
        as_json({"file": PROOF, "line": line})
        return
    say(f"file   {PROOF}")
    say(f"line   {line}")


def _read() -> str:
    secret = sys.stdin.readline(4096).strip()
    if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable():
        raise ConfigError(f"a secret is one line of at least {SHORTEST} printable ASCII characters")
    return secret
