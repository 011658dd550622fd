"""Mistake: one pool for everything, no time-outs, and another try for ever.

A statement may take as long as it likes, and holds its thread and its connection. An error of any
kind, a COMMIT whose reply was lost among them, repeats the whole work, charging included. After an
outage all threads knock again at the same beat. Mend: shop/resilient/database.py.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import create_engine
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.orm import Session

from shop import settings

log = logging.getLogger(__name__)
T = TypeVar("T")

engine = create_engine(settings.sqlalchemy_url(settings.DATABASE), pool_size=5, max_overflow=20)


def run(work: Callable[[Session], T], lane: str = "reads") -> T:
    while True:
        try:
            with Session(engine) as session:
                result = work(session)
                session.commit()
                return result
        except (OperationalError, InternalError) as error:
            log.info("once more: %s", error.orig)
            time.sleep(0.1)
