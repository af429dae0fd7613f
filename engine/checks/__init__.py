"""Everything that can be known to be wrong with a pipeline before it runs, found in one pass and told all at once.

Stands apart from `pipeline.py` because it is a list of rules, one function each, and grows with every feature; and because only who
checks a pipeline pays for loading them.
"""

from engine.checks.hints import hints
from engine.checks.params import misfits_as_written, unknown_params
from engine.checks.whole import Asked, problems

__all__ = ["Asked", "hints", "misfits_as_written", "problems", "unknown_params"]
