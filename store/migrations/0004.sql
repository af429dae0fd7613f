-- Version 4: places under limits.

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
