"""What happened, and what it adds up to: events, states, and the file they are kept in."""

from store.blobs import Blobs, ChainCache, chain
from store.errors import (
    BlobMissingError,
    BundleError,
    LeaseLostError,
    RunAmbiguousError,
    RunConflictError,
    RunIdError,
    RunNotFoundError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreForeignError,
    StoreFullError,
    StoreNewerError,
    StoreReadOnlyError,
    StoreUnusableError,
    StreamNameError,
    ValueEncodingError,
    VersionRangeError,
)
from store.events import Event, Payload, Recorded, RunId, StepPath
from store.lease import Lease
from store.locks import Driver
from store.log import Log
from store.runs import RunRow, RunSummary
from store.signals import Sample, Signal
from store.state import RunState, RunStatus, StepState, StepStatus

__all__ = [
    "BlobMissingError",
    "Blobs",
    "BundleError",
    "ChainCache",
    "Driver",
    "Event",
    "Lease",
    "LeaseLostError",
    "Log",
    "Payload",
    "Recorded",
    "RunAmbiguousError",
    "RunConflictError",
    "RunId",
    "RunIdError",
    "RunNotFoundError",
    "RunRow",
    "RunState",
    "RunStatus",
    "RunSummary",
    "Sample",
    "Signal",
    "StepPath",
    "StepState",
    "StepStatus",
    "StoreBusyError",
    "StoreDamagedError",
    "StoreError",
    "StoreForeignError",
    "StoreFullError",
    "StoreNewerError",
    "StoreReadOnlyError",
    "StoreUnusableError",
    "StreamNameError",
    "ValueEncodingError",
    "VersionRangeError",
    "chain",
]
