"""The store as others see it: writing and reading over one open file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rascal.store.database import Database
from rascal.store.tending import Tender
from rascal.store.writing import Writer


class Store(Writer, Tender):
    """An open run store. Used by one thread.

    Args:
        path: the file; without it RASCAL_STORE, else rascal/runs.db in the user's data folder.
        readonly: only look; the file must be there then.
        now: the time of the day.

    Raises:
        StoreError: the file is damaged, of a newer version, or cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        readonly: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(Database(path, readonly=readonly), now)

    @property
    def path(self) -> str:
        """The file."""
        return self.database.path

    def close(self) -> None:
        """Give the file back."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
