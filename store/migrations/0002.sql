-- Version 2: child runs.

-- Who called a child run: step `step` of the run `caller`, by id, which need not be here (a child can be imported alone).
CREATE TABLE callers(
    run INTEGER PRIMARY KEY REFERENCES runs(run),
    caller TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT;

CREATE INDEX callers_caller ON callers(caller);
