"""The jobs as the queue names them."""

from shop import parts


def fulfil(order: int) -> None:
    """Ship an order and tell its customer."""
    parts.jobs.fulfil(order)
