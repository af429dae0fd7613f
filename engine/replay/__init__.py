"""Time travel: proving a run again, forking it with edits, reusing what it paid for, and comparing it with another."""
