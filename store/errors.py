"""What can go wrong with a store, by what it means to the caller.

"You asked wrongly" (`RunNotFoundError`, `RunConflictError`, ...) and "the world failed" (`StoreUnusableError` and below) are
different branches; sqlite3's own errors are wrapped here once and never leave the package.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of everything the store refuses. The text is one sentence: what, where, what to do."""

    code = "store"


class RunNotFoundError(StoreError):
    """No run has that id or prefix."""

    code = "not_found"


class RunAmbiguousError(StoreError):
    """The prefix fits several runs; the text names the first of them."""

    code = "ambiguous"


class RunIdError(StoreError):
    """The text cannot be a run's id."""

    code = "run_id"


class RunConflictError(StoreError):
    """Another live process drives the run."""

    code = "conflict"


class LeaseLostError(RunConflictError):
    """This driver was superseded: nothing it wrote after that was accepted, and it must stop."""

    code = "lease_lost"


class VersionRangeError(StoreError):
    """The version asked for is negative or past the run's head."""

    code = "range"


class BlobMissingError(StoreError):
    """A referenced content is not in the store (removed by retention, or the file is damaged)."""

    code = "blob_missing"


class ValueEncodingError(StoreError):
    """A value cannot be kept as JSON: an unknown type, a cycle, or too deep. The text says where in the value."""

    code = "value"


class StreamNameError(StoreError):
    """A key, topic, address, tag or pattern is none: empty, too long, or of letters that cannot be shown."""

    code = "name"


class BundleError(StoreError):
    """An import file is not a bundle, is damaged, or collides with what is there."""

    code = "bundle"


class StoreUnusableError(StoreError):
    """The file cannot be used at all; it was left as it is."""

    code = "unusable"


class StoreForeignError(StoreUnusableError):
    """The file is not a store of ours: another application's database, or no database."""

    code = "foreign"


class StoreNewerError(StoreUnusableError):
    """The store was written by a newer version."""

    code = "newer"


class StoreDamagedError(StoreUnusableError):
    """The file is damaged; the text names the first place."""

    code = "damaged"


class StoreBusyError(StoreUnusableError):
    """Another process kept the file locked for longer than we wait."""

    code = "busy"


class StoreFullError(StoreUnusableError):
    """The disk or quota is full; what was acknowledged before is safe."""

    code = "full"


class StoreReadOnlyError(StoreUnusableError):
    """The file or its folder may not be written."""

    code = "read_only"
