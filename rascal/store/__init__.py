"""The run store: what was planned, what happened and what came out of every run, in SQLite.

    with Store() as store:                  # RASCAL_STORE, else the user's data folder
        run = store.create(plan, files, versions=…, seed=42)
        store.add(run, report)              # once by (agent, sequence)
        store.finish(run, "completed", summary)

One file, which can be copied. `Store` implements types.RunStore and reads as well; a process that
only looks opens `Store(readonly=True)`, also while another one writes.
"""

from __future__ import annotations

from rascal.store.errors import Busy, Ended, StoreError
from rascal.store.store import Store
from rascal.store.values import Fork, Run

__all__ = ["Busy", "Ended", "Fork", "Run", "Store", "StoreError"]
