"""The `rascal` command: for people and for CI. Long-running services are twistd's.

Exit status: 0 all well; 1 what was looked at is not well (`check` found something, a step of a
script was not used, a proxy does not listen); 2 the command cannot be carried out as it was written
(a name that there is not, a sentence that says nothing); 3 the service cannot be reached; 4 the
service refuses (a role that is missing, a name that is taken, the lever is pulled); 130
interrupted. `rascal load run` ends with the status of its run: rascal load --help.

`rascal --help` must be there at once, so a command's module is imported when it is called.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["main"]


def main() -> None:
    """The console script."""
    _open_standard_streams()
    from rascal.cli.app import rascal

    if "_RASCAL_COMPLETE" in os.environ:
        from rascal.cli import completion

        assert completion.SHELLS  # importing it teaches click our scripts
    rascal.main(prog_name="rascal")


def _open_standard_streams() -> None:
    """Those that the caller has closed lead nowhere: else a socket or a file would get their
    descriptors, and whoever prints would write into it."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            with suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
