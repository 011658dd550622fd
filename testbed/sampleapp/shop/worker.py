"""Does the jobs of the queue.

python -m shop.worker
"""

import logging

from shop import setup

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    from shop.parts import chores, names

    names.install()
    setup.prepare()
    chores.work()
