"""Tools as they are called: by the model of a goal, turn by turn, or by a function through its context.

Stands apart from the context, which is given this to hang on. Every call is one effect: validated before, recorded as a whole,
told to the model as text. What a tool asks of its own context is part of the call and leaves no events.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.agents import Agents
from engine.answers import Answer, Asked, refusing
from engine.definition import Definition, StepDefinition
from engine.effects import Effects
from engine.errors import EffectFailedError, EngineError, PaidFailureError, suggestion
from engine.failures import failure_of
from engine.limits import Gate
from engine.models import replies
from engine.models.port import ModelRequest
from engine.models.schemas import misfit
from engine.recordings import DO_IT, LEAVE_IT
from engine.signatures import ArgumentsError, ToolError, converted, name_of, signature_of, tool_of
from engine.steps import PipelineStep, plain
from engine.tape import Base, arguments_hash, packed
from engine.tools import ToolDefinition
from engine.unrecorded import InsideTool
from engine.within import effect_within
from store import values
from store.events import Safety

TEXT_LIMIT = 24_000
"""Characters of one value that are put before a model (about 6,000 tokens); what is cut is said in the log."""
CALLED_LIMIT = 80
"""Characters of the name of a tool that there is not, and of what a model wrote that cannot be read, in a sentence."""

Functions = dict[tuple[str, str], Callable[..., Any]]
"""The functions behind tools, by step (empty: the pipeline's) and name."""


def functions_of_tools(step: str, tools: Sequence[Callable[..., Any]]) -> Functions:
    """The functions of a step's tools, or, with an empty `step`, of a pipeline's."""
    return {(step, name_of(one)): one for one in tools}


class Toolbox:
    """The tools of one run: what its definition says of them, the functions behind them, and the gate before each call, once bound.

    `most` is how often a model is asked in one attempt that may call tools; `agents` are those that added steps may name.
    """

    gate: Gate

    def __init__(self, definition: Definition, functions: Functions, most: int, agents: Agents) -> None:
        self.definition, self.most, self.agents, self._functions = definition, most, agents, dict(functions)

    def bind(self, gate: Gate) -> None:
        """Let calls pass this gate."""
        self.gate = gate

    def know(self, step: PipelineStep) -> None:
        """Take in the tools of a step that was added at run time, as its agent carries it out."""
        self._functions.update(functions_of_tools(step.name, step.tools))

    def function(self, step: str, tool: ToolDefinition) -> Callable[..., Any]:
        """The function behind a tool. Raises `EngineError` where the pipeline there is now has it no more."""
        found = self._functions.get((step, tool.name)) or self._functions.get(("", tool.name))
        if found is None:
            raise EngineError(f"The function of the tool {tool.name!r} ({tool.run}) is gone from the pipeline; put it back.")
        return found

    def named(self, name: str) -> ToolDefinition:
        """The pipeline's tool of that name. Raises `EngineError`."""
        for one in self.definition.tools:
            if one.name == name:
                return one
        names = [one.name for one in self.definition.tools]
        raise EngineError(f"The pipeline has no tool {name!r}{suggestion(name, names) or '; name it in Pipeline(tools=[...])'}.")


class Tooling:
    """The part of a context that calls tools."""

    step: str
    attempt: int
    _effects: Effects
    _around: Any
    _offered: tuple[StepDefinition, Sequence[ToolDefinition]] | None = None
    _turns = 0
    log: Callable[..., None]
    ask: Callable[..., Any]
    inside: Callable[..., Any]
    _ask_one_of: Callable[..., Any]

    async def tool(self, function: Callable[..., Any] | str, /, **arguments: Any) -> Any:
        """Call a tool as an effect and return what it returned, as plain values; by name it is one of the pipeline's.

        Its mark (`@tool(...)`) says its safety, timeout and permission. Raises `EffectFailedError`: with kind `arguments` where
        these do not fit its signature, `denied` or `declined` where it may not be called, else as the tool itself failed.
        """
        box: Toolbox = self._around.tools
        if isinstance(function, str):
            tool, body = box.named(function), None
        else:
            try:
                tool, body = tool_of(function), function
            except ToolError as error:
                raise EngineError(f"{name_of(function)} cannot be called as a tool: {error}.") from None
        return await self._call(tool, functools.partial(box.function, "", tool) if body is None else lambda: body, plain(arguments))

    def equip(self, step: StepDefinition, pipeline: Definition) -> None:
        """Let the model that is asked from now on call the tools of a goal step."""
        tools = pipeline.tools_of(step)
        self._offered = (step, tools) if tools else None

    async def _answered(self, names: Sequence[str], request: ModelRequest) -> tuple[str, Any, list[Any]]:
        """The answer to a request after all tools it called, the model that gave it, and the conversation it answers."""
        messages = request.messages
        if self._offered is None:
            return *await self._ask_one_of(names, request), messages
        offers = [one.offer() for one in self._offered[1] if one.permission != "deny"]
        asked = msgspec.structs.replace(request, params={**request.params, "tools": offers}) if offers else request
        step = self._offered[0]
        most = step.max_turns or self._around.tools.most
        while True:
            self._turns += 1
            name, answer = await self._ask_one_of(names, msgspec.structs.replace(asked, messages=messages))
            names = names[names.index(name) :]
            calls = [_readable(call, f"call_{self._turns}_{number}") for number, call in enumerate(answer.get("tool_calls") or ())]
            if not calls:
                return name, answer, messages
            if self._turns >= most:
                raised = "max_iterations" if step.max_turns is None else "max_turns"
                raise EffectFailedError(
                    f"The model still called tools after {most} turns; simplify the goal, or raise {raised}.",
                    kind="iterations",
                    retryable=False,
                )
            said = {"role": "assistant", "content": answer["text"] or None, "tool_calls": [call[0] for call in calls]}
            messages = [*messages, said]
            for call, arguments, problem in calls:
                text = await self._told(call["function"]["name"], arguments, problem)
                messages = [*messages, {"role": "tool", "tool_call_id": call["id"], "content": text}]

    async def _told(self, name: str, arguments: Any, problem: str | None) -> str:
        """What the model is told of a call it made; what went wrong too, so that it can go on."""
        assert self._offered is not None  # noqa: S101 - a model calls what it was offered
        step, tools = self._offered
        tool = next((one for one in tools if one.name == name), None)
        try:
            if tool is None:
                known = [one.name for one in tools if one.permission != "deny"]
                near = suggestion(name, known) or (f"; there are {', '.join(known)}" if known else "")
                value = await self._refused(
                    name[:CALLED_LIMIT], arguments, "unknown", f"there is no tool {name[:CALLED_LIMIT]!r}{near}"
                )
            else:
                body = functools.partial(self._around.tools.function, step.name, tool)
                value = await self._call(tool, body, arguments, problem)
        except EffectFailedError as error:
            if error.kind == "not_recorded":
                raise
            return f"error: {error}"
        return shown(self.log, f"what {name} returned", value)

    async def _call(
        self, tool: ToolDefinition, body: Callable[[], Callable[..., Any]], arguments: Any, problem: str | None = None
    ) -> Any:
        """One call: refused where it may not or cannot be, after a person's word where that is asked, and recorded in any case."""
        if tool.permission == "deny":
            return await self._refused(tool.name, arguments, "denied", f"the tool {tool.name!r} may not be called")
        problem = problem or _misgiven(arguments, tool)
        if problem is not None:
            return await self._refused(tool.name, arguments, "arguments", f"the arguments of {tool.name} are wrong: {problem}")
        if tool.permission == "ask" and not await self._agreed(tool.name, arguments):
            raise EffectFailedError(f"somebody decided that {tool.name} is not called so", kind="declined", retryable=False)

        async def issue(_: Asked) -> Answer:
            function = body()
            async with self._around.tools.gate.admitted("tool", tool.name, (self.step, self.attempt)):
                return await self._run(tool, function, arguments)

        agreed = tool.permission == "ask"
        return await self._effects.perform("tool", tool.name, arguments, Safety(tool.safety), issue, agreed=agreed)

    async def _refused(self, name: str, arguments: Any, kind: str, message: str) -> Any:
        refusal = refusing(EffectFailedError(message, kind=kind, retryable=False))
        return await self._effects.perform("tool", name, arguments, Safety.PURE, refusal)

    async def _agreed(self, name: str, arguments: Any) -> bool:
        """Ask a person, unless this call is recorded: then it is not done now, or was done without a question."""
        question = f"Shall the tool {name!r} be called with {values.encode(arguments).decode()}?"
        choices = [DO_IT, LEAVE_IT]
        if not self._effects.asks_first("tool", name, arguments, _base_of(question, choices)):
            return True
        return bool(await self.ask(question, choices=choices) == DO_IT)

    async def _run(self, tool: ToolDefinition, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Answer:
        """The function itself, within its time, in a thread unless it is async."""
        try:
            taken = converted(function, arguments)
        except ArgumentsError as error:
            said = f"the arguments of {tool.name} are wrong: {error}"
            raise EffectFailedError(said, kind="arguments", retryable=False) from None
        signature, effects = signature_of(function), InsideTool(tool.name, self._effects, tool.safety)
        if signature.context is not None:
            taken[signature.context] = self.inside(effects, None if signature.is_async else asyncio.get_running_loop())
        call = functools.partial(function, **taken)

        async def work() -> Any:
            value = await (call() if signature.is_async else self._around.in_thread(call))
            return await value if inspect.isawaitable(value) else value

        again = tool.safety != Safety.IRREVERSIBLE.value
        try:
            return Answer(await effect_within(tool.timeout, work(), tool.name, again=again), spent=tuple(effects.spent))
        except Exception as error:  # passed on as it is, but what was paid for in the call is recorded with its failure
            if not effects.spent:
                raise
            failure = msgspec.structs.asdict(failure_of(error))
            told = {key: failure[key] for key in ("kind", "retryable", "retry_after", "classes")}
            raise PaidFailureError(failure["message"], spent=effects.spent, **told) from error
        finally:
            effects.close()


def shown(log: Callable[..., None], name: str, value: Any) -> str:
    """A value as a model reads it: text as it is, anything else as JSON; cut at the limit, which the log says."""
    text = value if isinstance(value, str) else values.encode(value).decode()
    if len(text) <= TEXT_LIMIT:
        return text
    log(f"{name}: {len(text)} characters of context cut to {TEXT_LIMIT}", level="warning")
    return f"{text[:TEXT_LIMIT]}\n[cut: {len(text) - TEXT_LIMIT} of {len(text)} characters left out]"


def _readable(call: Mapping[str, str], id: str) -> tuple[dict[str, Any], Any, str | None]:
    """A call as it goes back to the model, its arguments (as text where they cannot be read), and why they cannot."""
    name = call["name"].encode("utf-8", "backslashreplace").decode()
    text = call["arguments"].strip() or "{}"
    arguments: Any = replies.parse(text)
    problem: str | None = None
    if isinstance(arguments, replies.ReplyProblem):
        problem = str(arguments).replace("The reply", "The text", 1)
        arguments = text.encode("utf-8", "replace").decode()
    elif not isinstance(arguments, dict):
        problem = "they are no JSON object"
    if problem is not None:  # providers refuse a conversation with arguments that are none
        text = msgspec.json.encode({"unreadable": str(arguments)[:TEXT_LIMIT]}).decode()
    return {"id": call["id"] or id, "type": "function", "function": {"name": name, "arguments": text}}, arguments, problem


def _misgiven(arguments: Any, tool: ToolDefinition) -> str | None:
    wrong = misfit(arguments, tool.parameters)
    return None if wrong is None else f"at {wrong.place}: {wrong.text}"


def _base_of(question: str, choices: list[str]) -> Base:
    """What the question is known by; as `ask` has it."""
    return "ask", question[:80], arguments_hash(packed({"question": question, "choices": choices})[0]), None
