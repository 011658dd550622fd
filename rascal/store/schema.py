"""The tables of the run store, and the steps from one version of them to the next.

`PRAGMA user_version` is the version of the file. A step is added to MIGRATIONS for every change;
a step that has been released is never edited.

    runs ─┬─ labels, requests, data (key → JSON), files ── sources (by content)
          └─ reports ─┬─ rows (flow × second, what one report adds) ── flows
                      ├─ meters, samples
                      └─ events (report is NULL for those of the coordinator)

Rows are kept as they were reported, one for each report, and added up when they are read: then a
report costs one short append whatever has been stored already, the numbers of one agent can be
told from another's, and a run can be rebuilt report by report. Nothing is ever averaged.

What a run was made of cannot be changed: triggers refuse it, whoever asks.
"""

from __future__ import annotations

VERSION_1 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    versions TEXT NOT NULL,
    seed TEXT,
    about TEXT NOT NULL,
    host TEXT,
    pid INTEGER,
    machine TEXT,
    created REAL NOT NULL,
    started REAL,
    beat REAL NOT NULL,
    ended REAL,
    outcome TEXT,
    status INTEGER,
    summary TEXT NOT NULL DEFAULT '{}',
    forked_from TEXT
);
CREATE INDEX runs_by_name ON runs (name);
CREATE TABLE labels (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    PRIMARY KEY (run, label)
) WITHOUT ROWID;
CREATE TABLE sources (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, content BLOB NOT NULL);
CREATE TABLE files (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES sources (digest),
    PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE INDEX files_by_digest ON files (digest);
CREATE TABLE flows (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    total BLOB,
    UNIQUE (run, kind, name)
);
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    agent TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    second INTEGER NOT NULL,
    last INTEGER NOT NULL,
    UNIQUE (run, agent, sequence)
);
CREATE TABLE rows (
    report INTEGER NOT NULL REFERENCES reports (id) ON DELETE CASCADE,
    flow INTEGER NOT NULL REFERENCES flows (id) ON DELETE CASCADE,
    second INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    started INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    counts TEXT NOT NULL,
    histograms BLOB NOT NULL
);
CREATE INDEX rows_by_second ON rows (flow, second);
CREATE INDEX rows_by_report ON rows (report);
CREATE TABLE meters (
    report INTEGER PRIMARY KEY REFERENCES reports (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    lateness BLOB NOT NULL
);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    report INTEGER REFERENCES reports (id) ON DELETE CASCADE,
    second REAL NOT NULL,
    flow TEXT NOT NULL,
    outcome TEXT NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX samples_by_run ON samples (run, second);
CREATE INDEX samples_by_report ON samples (report);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    report INTEGER REFERENCES reports (id) ON DELETE CASCADE,
    second REAL NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    agent TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX events_by_run ON events (run, second);
CREATE INDEX events_by_report ON events (report);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    made REAL NOT NULL,
    taken REAL,
    content TEXT NOT NULL
);
CREATE INDEX requests_by_run ON requests (run, taken);
CREATE TABLE data (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE TRIGGER runs_stay
    BEFORE UPDATE OF uid, kind, plan, versions, seed, about, created, forked_from ON runs
    BEGIN SELECT RAISE(ABORT, 'a run is never changed: fork it'); END;
CREATE TRIGGER runs_end_once BEFORE UPDATE OF ended, outcome ON runs WHEN OLD.ended IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the run has ended'); END;
CREATE TRIGGER sources_stay BEFORE UPDATE ON sources
    BEGIN SELECT RAISE(ABORT, 'the files of a run are never changed: fork it'); END;
CREATE TRIGGER files_stay BEFORE UPDATE ON files
    BEGIN SELECT RAISE(ABORT, 'the files of a run are never changed: fork it'); END;
CREATE TRIGGER reports_end BEFORE INSERT ON reports
    WHEN (SELECT ended FROM runs WHERE id = NEW.run) IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the run has ended'); END;
"""

MIGRATIONS: tuple[str, ...] = (VERSION_1,)
"""Step n brings a file from version n to n + 1."""

VERSION = len(MIGRATIONS)
