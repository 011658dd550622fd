"""The demo: real clients, real or stand-in servers, Rascal between them, and six failures.

    python -m rascal.demo [--quick] [--only N] [--keep]

- children: child processes that never outlive us;
- servers: MySQL, memcached, Redis and a small HTTP service, each the real one where it is
  installed, else a stand-in (service, memcached, mysql);
- node: rascal-proxy as a child, driven over its control API;
- steps: the six failures; show: how they look on a terminal.

Every step checks what it shows, so the demo is an end-to-end test too: it ends with status 1 if
something did not happen as it should.
"""
