"""The run store: what was planned, what happened and what came out of every run, in SQLite."""
