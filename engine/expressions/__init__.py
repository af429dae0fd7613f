"""The one safe expression language: conditions, loops, switches and `${{ ... }}`.

Stands apart as the one place that reads and evaluates it. simpleeval would make it worse: over Python's own grammar it takes
fullwidth letters for plain ones, differs between Python versions, evaluates the argument of `exists` before asking, falls back on
Python attributes and tells no positions.
"""

from engine.expressions.checking import Scope, problems
from engine.expressions.conditions import ConditionDSL, condition_of
from engine.expressions.expression import Expression, Reference, parse
from engine.expressions.templates import Template, map_templates

__all__ = [
    "ConditionDSL",
    "Expression",
    "Reference",
    "Scope",
    "Template",
    "condition_of",
    "map_templates",
    "parse",
    "problems",
]
