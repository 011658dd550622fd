"""Chance as a pure function: draw number n of a fault depends on nothing but its names.

The same seed and the same order of requests give the same faults, whatever the timing and
whatever else is installed. Lane 0 is the probability's; a kind draws from lanes 1 and up, so
changing a probability does not change the delays that are drawn.
"""

from __future__ import annotations

from hashlib import blake2b

_MASK = (1 << 64) - 1


def stream_key(seed: int, proxy: str, fault: str) -> int:
    """The 64-bit key of one fault's stream."""
    text = f"{seed}\0{proxy}\0{fault}".encode(errors="surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def draw(key: int, n: int, lane: int = 0) -> float:
    """A number in [0, 1) for match `n` and `lane` (0..255): splitmix64's finaliser over them.

    Source: S. Vigna, splitmix64 (public domain), used here as a hash of its input.
    """
    z = (key ^ (n * 0x9E3779B97F4A7C15) ^ (lane << 56)) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / 18446744073709551616.0
