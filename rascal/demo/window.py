"""What the panel's demo looks at: a shop, its cache, and a rascal-proxy before both.

    python -m rascal.demo.window FOLDER

It writes a scenario and an experiment into the folder, says one line of JSON once all is there
({"node": URL, "file": experiment}), and ends with its input: whoever started it holds that open.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from rascal.demo import servers
from rascal.demo.children import Children, free_port, listening, module
from rascal.demo.node import start_node
from rascal.errors import RascalError

SCENARIOS = '''\
"""What customers of a kettle shop do."""

from rascal.load import scenario


@scenario(weight=2)
async def browse(user):
    """Looks at the kettles: the shop alone can answer."""
    (await user.get("/browse", name="browse")).check(status=200)


@scenario(weight=1)
async def order(user):
    """Orders one: the shop asks its cache for the price."""
    (await user.post("/order", name="order")).check(status=200)
'''
EXPERIMENT = """\
# The cache stops answering for a quarter of a minute. Do orders fail fast, does browsing go on,
# and is the shop itself again afterwards?
name: demo
target: {target}
nodes: {{demo: '{node}'}}
load: {{scenarios: kettles.py, profile: hold 60/s, timeout: 5s}}
phases: {{warm-up: 10s, baseline: 20s, fault: 15s, recovery: 30s}}
faults:
  - hang on cache
uses: {{cache: [order]}}
objectives:
  - goodput_kept >= 60%
  - time_to_recover <= 20s
learn: no
"""
SCENARIO, FILE = "kettles.py", "demo.yml"


def main() -> int:
    """Start all, say where it is, wait for the end of the input."""
    folder = Path(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        with Children(folder) as children:
            print(json.dumps(start(children)), flush=True)
            sys.stdin.read()
    except KeyboardInterrupt:
        return 0
    except RascalError as error:
        print(json.dumps({"problem": str(error)}), flush=True)
        return 1
    return 0


def start(children: Children) -> dict[str, str]:
    """The servers, the proxies before them, the files. Raises RascalError."""
    cache = servers.memcached(children)
    port = free_port()
    shop = ("127.0.0.1", port)
    upstreams = {"cache": ("memcached", cache.address), "shop": ("http", shop)}
    node = start_node(children, upstreams)
    words = module("rascal.demo.kettles", str(port), str(node.addresses["cache"][1]))
    children.start("shop", words, ready=listening(shop))
    host, where = node.addresses["shop"]
    text = EXPERIMENT.format(target=f"http://{host}:{where}", node=node.url)
    (children.folder / SCENARIO).write_text(SCENARIOS, encoding="utf-8")
    (children.folder / FILE).write_text(text, encoding="utf-8")
    return {"node": node.url, "file": FILE}


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
