"""Values that fit a JSON Schema, made up from a seed; the offline model's imagination."""

from engine.models.invent.objects import invent
from engine.models.invent.refusal import UnsatisfiableError

__all__ = ["UnsatisfiableError", "invent"]
