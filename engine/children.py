"""Pipelines inside pipelines: the child runs of one run, made, driven and taken up again in the process of their caller.

A child is a run of its own, made by an effect of kind `child` of its caller's step. Its id follows from the request (`CALLER.N`, N
being the request's version), so a request that is made again after a crash finds the child it made: one that has ended gives its
result, one that has not is driven on. Stands apart from the runtime, which drives one run, and knows of others only through here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from engine.answers import Answer, Asked
from engine.asking import asked_by
from engine.calling import Call, Callee, Caller, Driven, Home
from engine.definition import Definition, StepDefinition
from engine.effects import Effects
from engine.errors import ChildFailedError, CommandRefusedError, EffectFailedError, EngineError
from engine.pipeline import Pipeline, need_pipeline
from engine.spending import uncounted
from store import values
from store.errors import LeaseLostError, StoreError
from store.events import ChildParked, ChildResumed, ChildSpent, RunId, Safety, Spent
from store.state import RunState, RunStatus, StepState, StepStatus

STOP_SECONDS = 1.0
"""How long children that were cancelled may take to record it when their caller's driver ends."""

ELSEWHERE_SECONDS = 0.5
"""How often a child that another process drives is looked at, besides when something is recorded."""


Handed = Callable[[str], Mapping[str, Any]]
"""What a child that a step calls is given by its surroundings: the model, and how it is asked."""


class Children:
    """The child runs of one run. `pipelines` are the nested pipelines of its steps, with their functions, by step."""

    def __init__(self, run: RunId, home: Home, pipelines: Mapping[str, Pipeline], handed: Handed) -> None:
        self._run, self._home, self._pipelines, self._handed = run, home, dict(pipelines), handed
        self._context = contextvars.copy_context()  # not that of a body: what it set there is its own
        self._caller: Caller | None = None
        self._driven: dict[RunId, Driven] = {}
        self.above: Callable[[tuple[Spent, ...]], None] | None = None
        self._calls: dict[RunId, Call] = {}
        self._raises, self._over = 0, set[RunId]()
        self._living: dict[RunId, asyncio.Task[Answer]] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._unwanted: dict[RunId, dict[str, Any]] = {}
        self._unpaused: dict[RunId, asyncio.Event] = {}
        self._stopped = False

    def know(self, step: str, pipeline: Pipeline) -> None:
        """Take the nested pipeline of a step that was added at run time."""
        self._pipelines[step] = pipeline

    def bind(self, caller: Caller) -> None:
        """Say which run calls; done once, before anything is asked."""
        self._caller = caller

    @property
    def caller(self) -> Caller:
        """The run that calls."""
        assert self._caller is not None  # noqa: S101 - bound by the runtime that holds this
        return self._caller

    @property
    def resting(self) -> bool:
        """Whether a child is parked, so that its step may be all that its run still waits for."""
        return bool(self._unpaused)

    @property
    def stirring(self) -> bool:
        """Whether a child that rested was told to go on and is about to."""
        return any(told.is_set() for told in self._unpaused.values())

    # -- asking

    async def of_step(self, effects: Effects, step: StepDefinition, path: str, attempt: int, params: Mapping[str, Any]) -> Any:
        """The attempt of a step that runs another pipeline."""
        called = self._pipelines.get(step.name)
        if isinstance(step.pipeline, Definition) and called is not None:
            return await self._ask(effects, path, attempt, Callee(step.pipeline, called), params)
        return await self.ask(effects, path, attempt, step.pipeline, params)

    async def ask(self, effects: Effects, step: str, attempt: int, pipeline: Any, params: Mapping[str, Any]) -> Any:
        """Run a pipeline (or what a word names) as a child and return its final output; raises `EffectFailedError`."""
        if isinstance(pipeline, str):
            return await self._ask(effects, step, attempt, pipeline, params)
        need_pipeline(pipeline, "A child run", "a Pipeline, 'self', module:name or a file")
        copy = pipeline.copy()
        callee = Callee(copy.define(params, model=self._handed(step)["model"]), copy)
        return await self._ask(effects, step, attempt, callee, params)

    async def _ask(self, effects: Effects, step: str, attempt: int, callee: Callee | str, params: Mapping[str, Any]) -> Any:
        given = values.decode(values.encode(dict(params)))
        arguments: dict[str, Any] = {"params": given}
        if isinstance(callee, Callee):
            arguments["definition"] = values.digest(callee.definition.pinned().to_json())
        if isinstance(callee, str) or asked_by(callee.definition, "any", ()):
            arguments["asks"] = self._handed(step)  # answers of another model, or one asked otherwise, are others
        name = callee if isinstance(callee, str) else callee.definition.name

        async def issue(asked: Asked) -> Answer:
            return await self._answer(Call(asked.version, step, attempt, callee, given))

        return await effects.perform("child", name, arguments, Safety.IDEMPOTENT, issue, paid=True)

    async def _answer(self, call: Call) -> Answer:
        """The child's end, while somebody waits for it; a child nobody waits for any more is cancelled."""
        child = RunId(f"{self._run}.{call.request}")
        living = asyncio.get_running_loop().create_task(self._live(child, call), context=self._context.copy())
        self._living[child], self._calls[child] = living, call
        living.add_done_callback(lambda done: self._lived(child, done))
        try:
            return await asyncio.shield(living)
        except asyncio.CancelledError:
            if not self._stopped:
                self._abandon(child, {"reason": f"step {call.step} of {self._run} no longer waits for it"})
            elif (waiting := asyncio.current_task()) is not None:
                waiting.cancel()  # the driver ends: that is no outcome, the child goes on with the next one
            raise

    def _lived(self, child: RunId, done: asyncio.Task[Answer]) -> None:
        del self._living[child], self._calls[child]
        if not done.cancelled():
            done.exception()  # nobody may wait for it any more

    # -- a child's life

    async def _live(self, child: RunId, call: Call) -> Answer:
        """Drive a child to its end, through as many lives as it takes."""
        unpause = True
        try:
            while (state := await self._home.state(child)) is None or not state.status.ended:
                raises = self._raises
                if state is not None:
                    self._used(call, await self._uncounted(child, call, state))
                if state is not None and not self._due(state, unpause):
                    unpause = await self._rest(child, call, state, raises)
                    continue
                driven = await (
                    self._begin(child, call)
                    if state is None
                    else self._home.take_up(child, call, self.caller.state, unpause=unpause)
                )
                if driven is None:
                    await self._elsewhere(child)
                elif not (state := await self._drive(child, call, driven)).status.ended:
                    unpause = await self._rest(child, call, state, raises)
            return await self._outcome(child, call, state)
        except (EffectFailedError, asyncio.CancelledError):
            raise
        except Exception as error:  # the store failed, or its pipeline cannot be found: no outcome, the child can be resumed
            self.caller.fail(error)
            never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            return await never

    def _due(self, state: RunState, unpause: bool) -> bool:
        """Whether driving a child on would lead anywhere."""
        if state.pausing and (not unpause or self.caller.state.pausing):
            return False
        counts = state.counts
        stuck = counts[StepStatus.IN_DOUBT] and not (counts[StepStatus.RUNNING] or counts[StepStatus.WAITING])
        return not stuck or state.cancelling or state.pausing

    async def _begin(self, child: RunId, call: Call) -> Driven:
        try:
            return await self._home.begin(child, call, self.caller.state)
        except EngineError as error:
            raise EffectFailedError(f"Child run {child} cannot begin: {error}", kind="child", retryable=False) from error

    async def _drive(self, child: RunId, call: Call, driven: Driven) -> RunState:
        self._driven[child] = driven
        driven.children.above = functools.partial(self._used, call)
        try:
            if child in self._unwanted:
                driven.command("cancel", self._unwanted[child])
            elif self.caller.state.pausing:
                driven.command("pause", {})
            else:
                self._hold(child)
            if not driven.state.status.ended:
                with contextlib.suppress(LeaseLostError):  # somebody forced it: then another process drives it
                    await driven.drive()
        finally:
            del self._driven[child]
            await driven.lease.release()
        return driven.state

    async def _rest(self, child: RunId, call: Call, state: RunState, raises: int) -> bool:
        """A child is parked: say so, and wait until it can go on; whether its caller was told to.

        `raises` is how often budgets had been raised when it was last given what it may use.
        """
        reason = "paused" if state.status is RunStatus.PAUSED or state.pausing else "waiting"
        seen = await self._home.grown(child)
        told = self._unpaused[child] = asyncio.Event()
        if any(reached[0] == ":" for reached in state.reached):
            self._over.add(child)
            if raises != self._raises:
                told.set()
        try:
            self.caller.note(ChildParked(call.request, reason), call.step, call.attempt)
            await self._first(told.wait(), self._home.stirred(child, seen))
            self.caller.note(ChildResumed(call.request), call.step, call.attempt)
        finally:
            del self._unpaused[child]
            self._over.discard(child)
        return told.is_set()

    async def _elsewhere(self, child: RunId) -> None:
        seen = await self._home.grown(child)
        await self._first(asyncio.sleep(ELSEWHERE_SECONDS), self._home.stirred(child, seen))

    async def _first(self, *waits: Coroutine[Any, Any, Any]) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _outcome(self, child: RunId, call: Call, state: RunState) -> Answer:
        value, spent = await self._home.output(child, state), await self._uncounted(child, call, state)
        if state.status is RunStatus.COMPLETED:
            return Answer(value, simulated=state.simulated, spent=spent)
        failed = [step for step in state.steps.values() if step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT)]
        cancelled = state.status is RunStatus.CANCELLED
        retryable = not cancelled and all(step.retryable for step in failed)
        raise ChildFailedError(_sentence(child, state, failed), retryable=retryable, spent=spent)

    # -- what they use, and may use

    def paid(self, used: tuple[Spent, ...]) -> None:
        """The run used something: the runs that called it count it at once, so that their budgets hold for all of them."""
        if self.above is not None:
            self.above(used)

    def _used(self, call: Call, used: tuple[Spent, ...]) -> None:
        if not used:
            return
        try:
            self.caller.note(ChildSpent(call.request, used), call.step, call.attempt)
        except Exception as error:  # the caller's store failed: that is no failure of what the child did
            self.caller.fail(error)
        self.paid(used)

    async def _uncounted(self, child: RunId, call: Call, state: RunState) -> tuple[Spent, ...]:
        """What a child used that its caller did not count: another process drove it, or a crash came between."""
        asked = self.caller.state.open.get(call.request)
        if asked is None or state.calls <= sum(one.calls for one in asked.spent):
            return ()
        return uncounted(await self._home.used(child, state), asked.spent)

    def hold_back(self) -> None:
        """A budget of the caller is used up: the children within it may use no more than they did."""
        for child in list(self._driven):
            self._hold(child)

    def _hold(self, child: RunId) -> None:
        driven = self._driven[child]
        held = self._home.held(self._calls[child], self.caller.state, driven.state)
        if held is not None and driven.parked is None:
            driven.note(held)

    def hand_down(self) -> None:
        """The caller has another budget: its children may use what it leaves them, and go on where that was used up."""
        self._raises += 1
        for child, driven in list(self._driven.items()):
            raised = self._home.more(self._calls[child], self.caller.state, driven.state, driven.definition)
            if raised and driven.parked is None:
                driven.command("budget", raised)
        for child in self._over:
            self._unpaused[child].set()

    # -- what the caller was told, its children are

    def tell(self, kind: str, body: dict[str, Any]) -> None:
        """Hand a command of the caller (`pause`, `resume`, `cancel`) down."""
        if kind == "resume":
            for told in self._unpaused.values():
                told.set()
        for child in list(self._living):
            if kind == "cancel":
                self._abandon(child, body)
            elif child in self._driven:
                self._driven[child].command(kind, body)
            elif child not in self._unpaused:
                self._errand(child, kind, body)

    def _abandon(self, child: RunId, body: dict[str, Any]) -> None:
        """Nobody waits for the child's end any more: it is cancelled."""
        if child in self._unwanted:
            return
        self._unwanted[child] = body
        if child in self._driven:
            self._driven[child].command("cancel", body)
        else:
            self._errand(child, "cancel", body)

    def sweep(self) -> None:
        """Cancel children that a crash left behind: nothing open in the caller asks for them."""
        self._keep(self._sweep())

    async def _sweep(self) -> None:
        wanted = {f"{self._run}.{request}" for request in self.caller.state.open}
        for child in await self._home.unfinished():
            if child not in wanted and child not in self._living:
                self._errand(child, "cancel", {"reason": f"nothing in {self._run} waits for it"})

    def _errand(self, child: RunId, kind: str, body: dict[str, Any]) -> None:
        self._keep(self._run_errand(child, kind, body))

    async def _run_errand(self, child: RunId, kind: str, body: dict[str, Any]) -> None:
        with contextlib.suppress(CommandRefusedError, StoreError):  # it has ended, is told already, or was not made yet
            await self._home.tell(child, kind, body)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def hold(self) -> None:
        """The driver ends: that nobody waits for a child any more is from now on no reason to cancel it."""
        self._stopped = True

    async def stop(self) -> None:
        """Stop driving: what was cancelled may record it, the others are left to be resumed."""
        for child, living in self._living.items():
            if child not in self._unwanted:
                living.cancel()
        tasks: list[asyncio.Task[Any]] = [*self._living.values(), *self._errands]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_SECONDS)


def _sentence(child: RunId, state: RunState, failed: list[StepState]) -> str:
    """Which child failed, where and why. Of a chain of calls the last one tells: its id has all the others in it."""
    if state.status is RunStatus.CANCELLED:
        return f"Child run {child} ({state.pipeline}) was cancelled{f': {state.reason}' if state.reason else ''}"
    if failed and failed[0].failure_kind == "child" and failed[0].reason:
        return failed[0].reason
    return f"Child run {child} ({state.pipeline}) failed at {state.reason}"
