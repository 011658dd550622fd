"""The users' own chance: numbers in [0, 1) out of one small integer (SplitMix64).

Python's generator keeps 2.5 kB for each user and takes 10 us to seed; this one is an integer.
"""

from __future__ import annotations

from hashlib import blake2b

_MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15
_SCALE = 1.0 / (1 << 53)


def key_of(*parts: object) -> int:
    """64 bits that depend on every part and on nothing else."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def mixed(state: int) -> int:
    """A state's 64 random bits."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def started(key: int, number: int) -> int:
    """The first state of user `number` under a key."""
    return mixed((key + (number + 1) * STEP) & _MASK)


def stepped(state: int) -> int:
    """The next state."""
    return (state + STEP) & _MASK


def unit(state: int) -> float:
    """A state's number in [0, 1)."""
    return (mixed(state) >> 11) * _SCALE
