"""Tables and wares, made by whoever comes first."""

import logging
import random
import time

from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from shop import settings
from shop.models import Base, Product, Review

log = logging.getLogger(__name__)

PRODUCTS = 300
REVIEWS = 10  # for each
STOCK = 1_000_000
PATIENCE = 60.0

_LOOKS = ("blue", "small", "heavy", "plain", "copper", "tall", "quiet", "travelling")
_THINGS = ("kettle", "teapot", "strainer", "cup", "caddy", "tray", "whisk", "infuser", "spoon")


def wares() -> list[dict[str, object]]:
    """What is for sale; the same each time."""
    chance = random.Random(9)
    return [
        {
            "id": number,
            "name": f"{chance.choice(_LOOKS)} {chance.choice(_THINGS)} no. {number}",
            "cents": chance.randrange(300, 9000, 50),
            "stock": STOCK,
        }
        for number in range(1, PRODUCTS + 1)
    ]


def prepare(url: str = settings.DATABASE) -> None:
    """Make what is not there yet; waits a minute for the database."""
    engine = create_engine(
        settings.sqlalchemy_url(url),
        poolclass=NullPool,
        connect_args={"connect_timeout": 5, "read_timeout": 60},
    )
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with engine.connect() as connection:
                _prepare(connection)
            return
        except OperationalError as error:
            if time.monotonic() > end:
                raise
            log.info("the database is not there yet: %s", error.orig)
            time.sleep(0.5)


def _prepare(connection) -> None:
    lock = f"shop:{settings.MODE}"
    connection.execute(text("SELECT GET_LOCK(:lock, 50)"), {"lock": lock})
    Base.metadata.create_all(connection)
    if not connection.scalar(select(func.count()).select_from(Product)):
        chance = random.Random(10)
        connection.execute(insert(Product), wares())
        connection.execute(
            insert(Review),
            [
                {"product": product, "stars": chance.choice((2, 3, 4, 4, 5, 5))}
                for product in range(1, PRODUCTS + 1)
                for _ in range(REVIEWS)
            ],
        )
    connection.commit()
    connection.execute(text("SELECT RELEASE_LOCK(:lock)"), {"lock": lock})
