"""What an expression reads that is not there by the definition: unknown names, steps, params, with the nearest known word.

Stands apart because it needs the surroundings (which steps and params there are), which neither reading nor evaluating does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from engine.errors import ExpressionError, suggestion
from engine.expressions.expression import Expression, Reference
from engine.expressions.templates import Template


class Scope(msgspec.Struct, frozen=True):
    """What an expression may read. None means: not known here, not checked.

    `roots` are the first words (`steps`, `params`, `item`); `steps` all names of steps, `dependencies` those that will have ended,
    `fields` what there is of a step (`output`, `status`). Where not all params are `declared`, asking whether there is one is fine.
    """

    roots: Collection[str]
    steps: Collection[str] | None = None
    dependencies: Collection[str] | None = None
    params: Collection[str] | None = None
    fields: Collection[str] | None = None
    declared: bool = True


def problems(asked: Expression | Template, scope: Scope) -> list[str]:
    """What `asked` reads that is not there: one sentence each, with the position."""
    source = asked.text if isinstance(asked, Template) else asked.source
    found = [
        str(ExpressionError(message, reference.position, source))
        for reference in asked.references
        for message in _of_reference(reference, scope)
    ]
    return list(dict.fromkeys(found))


def _of_reference(reference: Reference, scope: Scope) -> Iterator[str]:
    root, *rest = reference.path
    if root not in scope.roots:
        near = suggestion(str(root), list(scope.roots))
        yield f"there is no {root!r} here{near or '; there are ' + ', '.join(sorted(scope.roots))}"
    elif root == "steps" and rest:
        yield from _of_step(rest, scope)
    elif root == "params" and rest and scope.params is not None and (scope.declared or not reference.asked):
        yield from _of_param(rest[0], scope.params)


def _of_param(name: str | int, known: Collection[str]) -> Iterator[str]:
    if name not in known:
        yield f"there is no param {name!r}{suggestion(str(name), list(known)) or '; add it to params'}"


def _of_step(rest: list[str | int], scope: Scope) -> Iterator[str]:
    name = str(rest[0])
    if scope.steps is not None and name not in scope.steps:
        longer = [step for step in scope.steps if step.startswith(f"{name}-")]
        near = f'; write steps["{longer[0]}"]' if longer else suggestion(name, list(scope.steps))
        yield f"there is no step {name!r}{near}"
    elif scope.dependencies is not None and name not in scope.dependencies:
        yield f"step {name!r} may not have ended by then; add it to depends_on"
    elif scope.fields is not None and len(rest) > 1 and rest[1] not in scope.fields:
        near = suggestion(str(rest[1]), list(scope.fields)) or f"; write steps.{name}.output.{rest[1]}"
        yield f"a step has no {rest[1]!r}, only {', '.join(sorted(scope.fields))}{near}"
