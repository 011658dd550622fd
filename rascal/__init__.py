"""Rascal: proxies that make databases, caches and services misbehave as they do in production.

Importing the package costs nothing: it holds the version and no more.
"""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Look the version up when somebody asks for it."""
    if name != "__version__":
        raise AttributeError(f"module 'rascal' has no attribute '{name}'")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("rascal")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"
