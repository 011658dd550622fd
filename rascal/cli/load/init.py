"""`rascal load init`: a scenario to begin with, documented, that runs as it is."""

from __future__ import annotations

from pathlib import Path

import click

from rascal.cli.output import cannot, say
from rascal.errors import ConfigError

STARTER = '''\
"""What a user of our service does. Try it, one request after the other, without load:

    rascal load run {file} --target http://127.0.0.1:8080 --once

then with 20 users who arrive each second, for half a minute:

    rascal load run {file} --target http://127.0.0.1:8080 --rate 20/s --for 30s

Arrivals do not wait for the service to be fast (the open model): if it is slow, users pile up, as
they do in life, and latencies count from when a user should have been served.
"""

from rascal.load import Option, scenario

# An option of this file: --page /catalogue on the command line, a field of the form in the panel.
page = Option("page", str, "/", "The page that a visitor opens.")


@scenario("visit", weight=9, think="1s..3s", deadline="30s", tags=["read"])
async def visit(user):
    """Nine of ten users open a page, think, and open it again."""
    # The calls are treq's: get, post, put, …, with params=, json=, headers=. Paths are relative to
    # --target. `name` is the flow under which the call appears in the results; without it the
    # path is.
    reply = await user.get(str(page), name="page")

    # A check that does not hold makes the call count as failed, and the user goes on. More checks:
    # json="$.items", contains="Welcome", header=…
    reply.check(status=200, within="2s")

    # The time a user takes to read: `think` above, drawn anew each time.
    await user.think()
    await user.get(str(page), name="page again")


@scenario("impatient", weight=1)
async def impatient(user):
    """One of ten opens it and leaves if that takes too long."""
    reply = await user.get(str(page), name="page", timeout="5s")

    # A plain assert ends this user's visit, and counts it as failed.
    assert reply.code < 500, f"status {{reply.code}}"


# More that a scenario can do (docs: "Scenarios"):
#
# Data, one row for each use:
#     items = feeder("items.csv", order="shuffle")         # from rascal.load import feeder
#     await user.get(f"/items/{{user.data(items)['id']}}", name="item")
#
# Log in once for each user:
#     @once_per_user                                        # from rascal.load import once_per_user
#     async def login(user):
#         await user.post("/login", json={{"name": user.name}}, name="login")
#
# Try again, counted:
#     await user.retry(pay, attempts=3, backoff="100ms..300ms", budget="10%")
#
# Measure any other client:
#     async with user.timer("smtp send"):
#         await send_mail()
'''


@click.command()
@click.argument("file", default="scenario.py", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Write it even if there is such a file.")
def init(file: Path, force: bool) -> None:
    """Write a scenario to begin with: FILE (scenario.py), documented, and it runs as it is.

    \b
    rascal load init shop.py
    rascal load run shop.py --target http://127.0.0.1:8080 --once
    """
    text = STARTER.format(file=file)
    with cannot():
        try:
            with file.open("w" if force else "x", encoding="utf-8") as out:
                out.write(text)
        except FileExistsError:
            raise ConfigError(
                f"{file} is there already: give another name, or --force to overwrite it"
            ) from None
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    say(f"{file}  written: two scenarios, an option. Next:")
    say(f"  rascal load run {file} --target http://127.0.0.1:8080 --once")
