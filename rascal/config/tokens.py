"""Secrets of the control API: made at random, kept as hashes.

    [rascal]
    tokens =
        admin sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ada

A plain SHA-256 is enough: a token that make_token() has made has 256 bits, which nobody guesses.
"""

from __future__ import annotations

import hashlib
import re
import secrets

HASHED = re.compile(r"(sha256:[0-9a-fA-F]{64})(?:\s+([\w.@-]{1,64}))?", re.ASCII)
"""A hashed token, and perhaps whose it is."""


def make_token() -> str:
    """A new secret."""
    return secrets.token_urlsafe(32)


def hash_token(secret: str) -> str:
    """What is written in proxies.ini in its place."""
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
