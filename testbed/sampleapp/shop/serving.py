"""A program that serves HTTP becomes gunicorn: one process, threads."""

import os
import sys

from shop import settings


def serve(app: str, port: int, threads: int = settings.THREADS) -> None:
    """Does not return."""
    words = ["-m", "gunicorn", app, "--worker-class", "gthread", "--workers", "1"]
    words += ["--threads", str(threads), "--bind", f"{settings.HOST}:{settings.port(port)}"]
    # Connections are kept for longer than any client in front of us keeps them.
    words += ["--keep-alive", "65", "--backlog", "512", "--timeout", "60"]
    words += ["--graceful-timeout", "2", "--log-level", "warning", "--no-control-socket"]
    if os.path.isdir("/dev/shm"):
        words += ["--worker-tmp-dir", "/dev/shm"]
    os.execv(sys.executable, [sys.executable, *words])
