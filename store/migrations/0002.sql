-- Version 2: child runs, what runs tell each other and keep, and places under limits.

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

-- Who called a child run: step `step` of the run `caller`, by id, which need not be here (a child can be imported alone).
CREATE TABLE callers(
    run INTEGER PRIMARY KEY REFERENCES runs(run),
    caller TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT;

CREATE INDEX callers_caller ON callers(caller);
