"""Deadlines, circuit breakers, retry budgets: what the parts share."""

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Iterator

from shop.errors import Unavailable
from shop.resilient import limits

_request = threading.local()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """What this thread does now has so long."""
    _request.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _request.end = None


def left(at_most: float, what: str) -> float:
    """How long the next step may take. Raises Unavailable if there is no time for it."""
    end = getattr(_request, "end", None)
    if end is None:
        return at_most
    seconds = end - time.monotonic()
    if seconds < 0.01:
        raise Unavailable(f"no time left for {what}")
    return min(at_most, seconds)


class Breaker:
    """Says no at once to what has just been failing; tries again with one call after a pause."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.lock = threading.Lock()
        self.recent: deque[bool] = deque(maxlen=limits.BREAKER_WINDOW)
        self.open_until = 0.0
        self.opened = False

    def check(self, only_ask: bool = False) -> None:
        """Raises Unavailable while it is open; when its pause is over one call is let through,
        as a trial. `only_ask`: that call comes later."""
        with self.lock:
            if not self.opened:
                return
            now = time.monotonic()
            if now < self.open_until:
                raise Unavailable(self.what, self.open_until - now)
            if not only_ask:
                self.open_until = now + limits.BREAKER_PAUSE

    def succeeded(self) -> None:
        with self.lock:
            if self.opened:
                self.opened = False
                self.recent.clear()
            self.recent.append(True)

    def failed(self) -> None:
        with self.lock:
            self.recent.append(False)
            failures = self.recent.count(False)
            many = failures >= limits.BREAKER_FAILURES and failures * 2 >= len(self.recent)
            if self.opened or many:
                self._open(limits.BREAKER_PAUSE)

    def pause(self, seconds: float) -> None:
        """The other side has asked for it (Retry-After)."""
        with self.lock:
            self._open(seconds)

    def _open(self, seconds: float) -> None:
        self.opened = True
        self.open_until = time.monotonic() + seconds


class Budget:
    """Retries are a share of all calls, and one a second: when everything fails they must not
    multiply the load."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tokens = float(limits.RETRY_BURST)
        self.last = time.monotonic()

    def called(self) -> None:
        with self.lock:
            now = time.monotonic()
            earned = limits.RETRY_SHARE + (now - self.last)
            self.tokens = min(limits.RETRY_BURST, self.tokens + earned)
            self.last = now

    def spend(self) -> bool:
        """Whether one more try is in it; waits a moment, a different one each time."""
        with self.lock:
            if self.tokens < 1:
                return False
            self.tokens -= 1
        time.sleep(left(random.uniform(0.005, 0.05), "another try"))
        return True


class Bulkhead:
    """So many at once; whoever has not got a place after a moment is turned away."""

    def __init__(self, what: str, places: int, wait: float) -> None:
        self.what = what
        self.wait = wait
        self.places = threading.BoundedSemaphore(places)

    def __enter__(self) -> None:
        if not self.places.acquire(timeout=self.wait):
            raise Unavailable(f"too much to do: {self.what}")

    def __exit__(self, *about: object) -> None:
        self.places.release()
