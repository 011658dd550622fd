"""What the shop says no with."""


class Missing(Exception):
    """There is no such thing: 404."""


class Conflict(Exception):
    """It cannot be done any more: 409."""


class Unavailable(Exception):
    """Not now: 503 with Retry-After. Only the resilient shop knows when to say so."""

    def __init__(self, what: str, retry_after: float = 1.0) -> None:
        super().__init__(what)
        self.retry_after = retry_after
