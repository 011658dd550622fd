"""Contender: Locust's FastHttpUser, or HttpUser with a fifth argument `requests`.

Locust's own runner in one process, with its statistics; the users' wait time is its default, none.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import sys
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, HttpUser, task
from locust.env import Environment
from window import HEADERS, Window, arguments

URL, USERS, WARM_UP, SECONDS = arguments()
PARTS = urlsplit(URL)


class Fast(FastHttpUser):
    """geventhttpclient."""

    default_headers = HEADERS

    @task
    def page(self):
        """Locust counts other statuses as failed by itself, and reads the body."""
        self.client.get(PARTS.path)


class Requests(HttpUser):
    """requests."""

    def on_start(self):
        """The same headers for all."""
        self.client.headers.update(HEADERS)

    @task
    def page(self):
        """As above."""
        self.client.get(PARTS.path)


def main() -> None:
    """So many users, each with its own connection."""
    user = Requests if sys.argv[5:] == ["requests"] else Fast
    host = f"{PARTS.scheme}://{PARTS.netloc}"
    environment = Environment(user_classes=[user], host=host, stop_timeout=5)
    runner = environment.create_local_runner()

    def counts() -> tuple[int, int]:
        total = runner.stats.total
        return total.num_requests - total.num_failures, total.num_failures

    window = Window(counts)
    runner.start(USERS, spawn_rate=USERS)
    gevent.sleep(WARM_UP)
    window.open()
    gevent.sleep(SECONDS)
    window.close()
    runner.quit()
    window.tell()


if __name__ == "__main__":
    main()
