-- Version 3: what was done to the store as a whole.

CREATE TABLE audit(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
