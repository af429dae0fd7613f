-- The tables of a store, as they are now. migrations/ has the way here from every earlier version; a test holds both equal.
-- STRICT: a column holds what it says. Sizes matter most in `events`: what is usual costs no byte there (schema 1, actor NULL
-- for the driver, attempt 0 or 1), and it has no second index: one over steps cost 3.5 us of the 6 us of a bulk row.

CREATE TABLE meta(
    name TEXT NOT NULL PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE runs(
    run INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL DEFAULT '',
    target TEXT,
    created REAL NOT NULL,
    parent INTEGER REFERENCES runs(run),
    parent_version INTEGER,
    reuse_upto INTEGER,
    head INTEGER NOT NULL DEFAULT 0,
    last_at REAL NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 1,
    pid INTEGER,
    started REAL,
    host TEXT,
    status TEXT NOT NULL DEFAULT 'pending',
    ended REAL,
    cost REAL NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0,
    steps INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    simulated INTEGER NOT NULL DEFAULT 0,
    inbox INTEGER NOT NULL DEFAULT 0,
    now TEXT NOT NULL DEFAULT '',
    imported INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX runs_pipeline ON runs(pipeline);

CREATE INDEX runs_parent ON runs(parent) WHERE parent IS NOT NULL;

-- Who called a child run: step `step` of the run `caller`, by id, which need not be here (a child can be imported alone).
CREATE TABLE callers(
    run INTEGER PRIMARY KEY REFERENCES runs(run),
    caller TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT;

CREATE INDEX callers_caller ON callers(caller);

CREATE TABLE events(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs(run),
    version INTEGER NOT NULL,
    type TEXT NOT NULL,
    schema INTEGER NOT NULL,
    at REAL NOT NULL,
    step TEXT,
    attempt INTEGER NOT NULL,
    causation INTEGER,
    actor TEXT,
    data TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE(run, version)
) STRICT;

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'recorded events never change');
END;

CREATE TRIGGER events_never_go BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM meta WHERE name = 'retention')
BEGIN
    SELECT RAISE(ABORT, 'recorded events go by retention only');
END;

CREATE TABLE inbox(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs(run),
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    actor TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;

CREATE INDEX inbox_run ON inbox(run, id);

CREATE TABLE snapshots(
    run INTEGER NOT NULL REFERENCES runs(run),
    version INTEGER NOT NULL,
    fold INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE(run, version, fold)
) STRICT;

-- The few events a timeline marks, so that it need not scan a run (a partial index cost 1.1 us a bulk row, also for the others).
CREATE TABLE marks(
    run INTEGER NOT NULL REFERENCES runs(run),
    version INTEGER NOT NULL,
    type TEXT NOT NULL,
    at REAL NOT NULL,
    step TEXT,
    PRIMARY KEY(run, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs(
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE live(
    run INTEGER NOT NULL REFERENCES runs(run),
    step TEXT NOT NULL,
    at REAL NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY(run, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE samples(
    run INTEGER NOT NULL REFERENCES runs(run),
    at REAL NOT NULL,
    cpu REAL NOT NULL,
    rss INTEGER NOT NULL,
    PRIMARY KEY(run, at)
) STRICT, WITHOUT ROWID;

-- What runs tell each other and keep. In all of these `run` and `request` are the effect that wrote the row (NULL: somebody outside a
-- run), so that a request carried out once more finds its own row instead of writing another. Runs are named by id, not by number:
-- the rows outlive them. A space is a stream of its own, `version` counting from 1 in it.
CREATE TABLE spaces(
    space TEXT NOT NULL,
    version INTEGER NOT NULL,
    key TEXT NOT NULL,
    op TEXT NOT NULL,
    value BLOB NOT NULL,
    run TEXT,
    request INTEGER,
    step TEXT,
    actor TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY(space, version),
    UNIQUE(run, request)
) STRICT;

CREATE INDEX spaces_key ON spaces(space, key, version);

-- `taker` and `claim` are the run and the request a message was given to; `settled` is 1 once that stands in the taker's history,
-- and 2 once it expired before.
CREATE TABLE mail(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL,
    type TEXT NOT NULL,
    topic TEXT NOT NULL,
    priority INTEGER NOT NULL,
    expires REAL,
    reply_to TEXT,
    tags TEXT NOT NULL,
    headers BLOB NOT NULL,
    body BLOB NOT NULL,
    run TEXT,
    request INTEGER,
    step TEXT,
    actor TEXT NOT NULL,
    at REAL NOT NULL,
    taker TEXT,
    claim INTEGER,
    taken REAL,
    settled INTEGER NOT NULL DEFAULT 0,
    UNIQUE(run, request),
    UNIQUE(taker, claim)
) STRICT;

CREATE INDEX mail_waiting ON mail(address, priority DESC, id) WHERE settled = 0;

CREATE INDEX mail_expiring ON mail(expires) WHERE settled = 0 AND expires IS NOT NULL;

CREATE TABLE posts(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    tags TEXT NOT NULL,
    body BLOB NOT NULL,
    run TEXT,
    request INTEGER,
    step TEXT,
    actor TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE(run, request)
) STRICT;

CREATE INDEX posts_at ON posts(at);

CREATE TABLE memories(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    text BLOB NOT NULL,
    tags TEXT NOT NULL,
    fields BLOB NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    at REAL NOT NULL
) STRICT;

CREATE TABLE memory_sources(
    memory INTEGER NOT NULL REFERENCES memories(id),
    run TEXT,
    request INTEGER,
    step TEXT,
    at REAL NOT NULL,
    UNIQUE(run, request)
) STRICT;

CREATE INDEX memory_sources_memory ON memory_sources(memory);

CREATE TABLE memory_words(
    word TEXT NOT NULL,
    memory INTEGER NOT NULL REFERENCES memories(id),
    PRIMARY KEY(word, memory)
) STRICT, WITHOUT ROWID;
-- Who waits for a place under a limit (taken is NULL), has one (freed is NULL), or had one within the last minute: no history.
CREATE TABLE slots(
    slot INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started REAL NOT NULL,
    host TEXT NOT NULL,
    taken REAL,
    freed REAL
) STRICT;

CREATE INDEX slots_name ON slots(name, taken);

-- What was done to the store as a whole: imports, exports, backups, forced takeovers, damage that was found.
CREATE TABLE audit(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE VIEW log_view AS
SELECT e.seq, r.id AS run_id, e.version, e.type, e.at, datetime(e.at, 'unixepoch') AS utc, e.step, e.attempt, e.causation,
       coalesce(e.actor, 'driver') AS actor, e.data
FROM events e JOIN runs r ON r.run = e.run;
