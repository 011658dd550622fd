"""What the environment says."""

import os
from urllib.parse import urlsplit


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


MODE = os.environ.get("SHOP_MODE", "fragile")
if MODE not in ("fragile", "resilient"):
    raise SystemExit(f"SHOP_MODE={MODE}: it is fragile or resilient")

HOST = os.environ.get("SHOP_HOST", "127.0.0.1")
THREADS = int(os.environ.get("SHOP_THREADS", "32"))

# How long pages may be served from the cache.
CATALOGUE_SECONDS = int(os.environ.get("SHOP_CATALOGUE_SECONDS", "10"))
PRODUCT_SECONDS = int(os.environ.get("SHOP_PRODUCT_SECONDS", "30"))

# The dependencies, by names that only our own name server knows.
DATABASE = os.environ.get("SHOP_DATABASE", f"mysql://shop:kettle@db.shop.internal:3306/shop_{MODE}")
CACHE = _address(os.environ.get("SHOP_CACHE", "cache.shop.internal:11211"))
QUEUE = os.environ.get("SHOP_QUEUE", "redis://jobs.shop.internal:6379/0")
PAYMENT = os.environ.get("SHOP_PAYMENT", f"http://payment.shop.internal:8081/{MODE}")
MAIL = _address(os.environ.get("SHOP_MAIL", "mail.shop.internal:2525"))
SENDER = f"{MODE}@shop.internal"

# The name server for everything under .internal; None: the system's.
DNS = _address(os.environ["SHOP_DNS"]) if os.environ.get("SHOP_DNS") else None

# How the back office reaches them, with nothing in between.
DIRECT_DATABASE = os.environ.get("SHOP_DIRECT_DATABASE", DATABASE)
DIRECT_CACHE = _address(os.environ.get("SHOP_DIRECT_CACHE", ":".join(map(str, CACHE))))
DIRECT_QUEUE = os.environ.get("SHOP_DIRECT_QUEUE", QUEUE)
DIRECT_PAYMENT = os.environ.get("SHOP_DIRECT_PAYMENT", PAYMENT)
DIRECT_MAIL = os.environ.get("SHOP_DIRECT_MAIL", f"http://{MAIL[0]}:8082")


def port(default: int) -> int:
    """Where this program listens."""
    return int(os.environ.get("SHOP_PORT", default))


def sqlalchemy_url(url: str) -> str:
    """The same for SQLAlchemy, which names the driver, too.

    Without TLS: PyMySQL would read all certificates of the system for each connection.
    """
    parts = urlsplit(url)
    return parts._replace(scheme="mysql+pymysql", query="ssl_disabled=true").geturl()
