"""The throw-away environment of a job: a virtual one with what it `requires`, kept by digest.

    environments/DIGEST/            python -m venv, what is required, and a path to Rascal itself
    environments/DIGEST/complete    nothing is missing

Jobs that require the same share one; those not used for longest are thrown away. What is required
is installed by pip in a process of its own that can be called off; it comes before what the panel
itself uses, and changes nothing of that.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import site
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

import rascal
from rascal import __version__
from rascal.control._problems import Problem
from rascal.load.environments import check_requirements
from rascal.panel.job_process import Cancelled, Working, environment

SECONDS = 600.0
LARGEST = 4 << 30
"""Bytes of one."""
KEPT = 8
"""Environments; those in use come on top."""
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "PIP_CLIENT_CERT",
        "PIP_TRUSTED_HOST", "PIP_CACHE_DIR", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONSTRAINT",
        "PIP_PROXY", "REQUESTS_CA_BUNDLE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")  # fmt: skip


class JobEnvironments:
    """All of one panel. Used by threads."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def python(self, requires: Sequence[str], working: Working) -> str:
        """The Python of the environment that has these; made if need be.

        Raises Problem, Cancelled.
        """
        if not requires:
            return sys.executable
        wanted = check_requirements(requires)
        key = key_of(wanted)
        with self._lock:
            lock = self._locks.setdefault(key, Lock())
        while not lock.acquire(timeout=0.2):
            if working.cancelled:
                raise Cancelled
        try:
            return self._made(self.base / key, wanted, working)
        finally:
            lock.release()

    def _made(self, folder: Path, wanted: Sequence[str], working: Working) -> str:
        python, mark = folder / "bin" / "python", folder / "complete"
        if mark.exists():
            os.utime(mark)
            return str(python)
        shutil.rmtree(folder, ignore_errors=True)
        self.base.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _make(folder, python, wanted, working)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        mark.write_text("\n".join(wanted) + "\n", "utf-8")
        return str(python)

    def tidy(self, used: Sequence[str]) -> None:
        """Throw away those not used for longest. `used` are Pythons that somebody needs."""
        known = []
        with suppress(OSError):
            for one in self.base.iterdir():
                mark = one / "complete"
                if mark.exists() and str(one / "bin" / "python") not in used:
                    known.append((mark.stat().st_mtime, one))
        for _, one in sorted(known, reverse=True)[KEPT:]:
            shutil.rmtree(one, ignore_errors=True)


def _make(folder: Path, python: Path, wanted: Sequence[str], working: Working) -> None:
    env = environment({name: os.environ[name] for name in _PIP if name in os.environ})
    ours = importlib.util.find_spec("pip") is not None
    words = [sys.executable, "-m", "venv", *(["--without-pip"] if ours else []), str(folder)]
    working.run(words, seconds=120.0, what="making an environment", env=env, watch=folder)
    for place in folder.glob("lib/python*/site-packages"):
        (place / "rascal-panel.pth").write_text(paths(), "utf-8")
    pip = [sys.executable, "-m", "pip", "--python"] if ours else [str(python), "-m", "pip"]
    words = [*pip, str(python)] if ours else pip
    working.run(
        [*words, "--disable-pip-version-check", "--no-input", "install", "--quiet",
         "--no-warn-script-location", "--", *wanted],
        seconds=SECONDS, what=f"installing {', '.join(wanted)[:200]}", env=env, watch=folder,
        largest=LARGEST,
    )  # fmt: skip
    if not python.exists():
        raise Problem(409, "failed", "the environment has no Python")


def paths() -> str:
    """Lines that lead to what the panel itself uses, behind the environment's own."""
    home = str(Path(rascal.__file__).parent.parent)
    places = [*site.getsitepackages(), home]
    if site.ENABLE_USER_SITE:
        places.append(site.getusersitepackages())
    return "".join(f"import site; site.addsitedir({one!r})\n" for one in dict.fromkeys(places))


def key_of(wanted: Sequence[str]) -> str:
    """The name of an environment's folder."""
    text = "\n".join([sys.version, sys.prefix, __version__, *wanted])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
