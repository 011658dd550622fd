"""The `rascal` command: for people and for CI. Long-running services are twistd's.

Exit status: 0 all well; 1 what was looked at is not well (`check` found something, a step of the
demo failed); 2 the command cannot be carried out (a name that there is not, a file that cannot be
read).

`rascal --help` must be there at once, so a command's module is imported when it is called.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The console script."""
    from rascal.cli.app import rascal

    rascal.main(prog_name="rascal")
