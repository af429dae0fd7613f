"""The shell around the pure core: drives one run, is the only writer of it, and obeys what the scheduler decides.

One loop: take in what happened (outcomes, signals, timers), record it with all that follows, start what was decided. Between two
turns attempts run as tasks, each only once its start is durable, and record their own effects.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.alarm import Alarm
from engine.answers import Blob
from engine.asking import Asking, AskingRules, Models
from engine.children import Children
from engine.commands import Fact, body_of, facts_of, refusal
from engine.definition import Definition
from engine.exchange import Exchange
from engine.executor import Executor, Failed
from engine.graph import Plan
from engine.intake import Intake
from engine.limits import Gate
from engine.preparing import Preparing
from engine.record import Added, Record
from engine.recordings import Policy
from engine.sampling import Sampler
from engine.surroundings import RunSurroundings
from engine.taking import Taking
from engine.threads import Threads
from engine.tooling import Toolbox
from engine.turns import Turns
from engine.within import LEAVE_SECONDS
from store import Driver, Lease, Log, values
from store.errors import StoreError
from store.events import (
    BudgetReached,
    BudgetSet,
    ChildParked,
    ChildResumed,
    Event,
    Failure,
    LogWritten,
    Recorded,
    RunAttached,
    RunMigrated,
    SignalReceived,
    StepCancelled,
    StepCompleted,
    StepRefused,
    StepSkipped,
    StepStarted,
)
from store.limits import Slots
from store.state import RunState, RunStatus, resting_steps

SIGNAL_SECONDS = 0.1
"""How often the inbox is looked at: one keyed query, about 0.1 ms, so 0.1% of a core."""
STOPPING = frozenset({StepCancelled, StepSkipped, StepRefused})
"""Decisions that end an attempt under way."""

Migration = tuple[RunMigrated, tuple[str, bytes]]
"""What a run goes on under from now: the event and the blob of the new definition."""


class Runtime:
    """Drives one run under a lease until it ends or nothing more can happen without somebody.

    `parked` says why it stopped short of the end: `paused`, `waiting` (an effect in doubt, or a child run), or None. `state` is
    the run's, owned by this runtime: to be looked at, not changed.
    """

    def __init__(
        self,
        log: Log,
        lease: Lease,
        state: RunState,
        definition: Definition,
        bodies: Mapping[str, Callable[..., Any]],
        schemas: Mapping[str, Any],
        *,
        params: Mapping[str, Any],
        rules: AskingRules,
        models: Models,
        tools: Toolbox,
        slots: Slots,
        limit: int,
        driver: Driver,
        children: Children,
        migrated: Migration | None = None,
        memories: bool = True,
        added: Sequence[Added] = (),
        taking: Taking | None = None,
        policies: Sequence[Policy] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.log, self.lease, self.state, self.definition = log, lease, state, definition
        self.parked: str | None = None
        self._wake = asyncio.Event()
        self._driver, self._migrated = driver, migrated
        self._threads = Threads()
        self.children = children
        children.bind(self)
        self._record = Record(lease, state, Plan(definition, limit, added), clock)
        bodies = dict(bodies)
        gate = Gate(
            state, rules.breaker, rules.limits, slots, now=self._record.now, say=lambda *line: log.progress(lease.run, *line)
        )
        tools.bind(gate)
        self._around = RunSurroundings(
            log, lease, self._record, bodies,
            exchange=Exchange(log, lease, state, clock, memories=memories),
            asking=Asking(rules, models, self._record.plan.step_of, gate), children=children,
            tools=tools, threads=self._threads, changed=lambda: self._wake.set(), fail=self.fail,
        )  # fmt: skip
        self._executor = Executor(definition, bodies, schemas, self._around, self._around, self._threads)
        given = {name: values.encode(value) for name, value in params.items()}
        self._preparing = Preparing(log, lease, self._record, given, taking, policies)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._context = contextvars.copy_context()
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._intake = Intake(self._record, self._around.written)
        around = (self._record, lease, self._preparing, self._intake, self._around.written)
        self._turns = None if taking is None else Turns(taking, *around)
        self._remarks: list[str] = []
        self._trouble: BaseException | None = None
        self._alarm = Alarm(self._wake.set, self._record.clock)

    def remark(self, texts: Sequence[str]) -> None:
        """What is to be said in the log when driving starts."""
        self._remarks = list(texts)

    # -- the loop

    async def drive(self) -> RunState:
        """Drive the run on; returns its state when it ended or is parked.

        Raises `StoreError` when the store fails, `LeaseLostError` when another driver took over.
        """
        state = self.state
        watcher = asyncio.get_running_loop().create_task(self._watch())
        try:
            self._start(await self._attach())
            while True:
                if self._trouble is not None:
                    raise self._trouble
                if self._turns is not None:
                    await self._take(self._turns)
                if state.status.ended or self._idle():
                    if await self._settled():
                        break
                    continue
                if not self._intake:
                    self._alarm.set(self._record.schedule.next_timer(self.state))
                    await self._wake.wait()
                self._wake.clear()
                self._start(self._turn([]))
            if self.parked is not None:
                self.lease.append([], row=self._record.summary())  # see `record`: the row may be of before
            await self.lease.flush()
            return state
        except StoreError as error:
            if self.lease.error is not None and self.lease.error is not error:
                raise self.lease.error from error  # the first that went wrong; what follows it says less
            raise
        finally:
            watcher.cancel()
            await self._stop(watcher)

    async def _attach(self) -> list[Recorded]:
        """Record that this driver is here, and what follows; then take up what was running."""
        facts: list[Fact] = [(RunAttached(self._driver.pid, self._driver.started, self._driver.host, self.lease.token), None, 0)]
        if self._migrated is not None:
            facts.append((self._migrated[0], None, 0))
        facts += [(LogWritten(text, "warning"), None, 0) for text in self._remarks]
        interrupted = set(self._record.running)
        taken = [] if self._turns is None else await self._turns.rest_of_the_point(interrupted)
        starts = self._turn(facts, [self._migrated[1]] if self._migrated is not None else [], taken=taken)
        interrupted = (interrupted & self._record.running.keys()) - {recorded.step for recorded in starts}
        await self._take_signals()
        if self.state.attaches > 1:
            self._around.exchange.take_over()
        self.children.sweep()
        if interrupted:
            await self.lease.flush()
            await self._redrive([name for name in self.state.steps if name in interrupted])
        self._look_out()
        return starts

    async def _redrive(self, names: Sequence[str]) -> None:
        """Run interrupted attempts again over what they recorded."""
        if self._turns is not None:
            await self._turns.recall(names)
        for name, (attempt, tape) in (await self._preparing.tapes(names, self._around.written)).items():
            if name not in self._tasks and self._record.running.get(name) == attempt:
                self._take_up(name, attempt, tape)

    def _start(self, starts: Sequence[Recorded]) -> None:
        """Make the tasks of what was started, while its commit is under way: the executor waits for that before the body."""
        for recorded in starts:
            name = recorded.step
            if name is not None and self._record.running.get(name) == recorded.attempt:
                self._take_up(name, recorded.attempt, ())

    def _take_up(self, name: str, attempt: int, tape: Sequence[Recorded]) -> None:
        """Begin an attempt, or in a fork let it wait for its turn on the parent's tape."""
        if self._turns is not None and self._turns.keeps(name, attempt):
            self._wake.set()
            return
        self._begin(name, attempt, tape)

    async def _take(self, turns: Turns) -> None:
        """Let what waits for its turn come to what it came to in the parent, in that order."""
        while not (self._looks or self._intake) and (came := await turns.next()) is not None:
            facts, runs = came
            for path, attempt, tape in runs:
                self._begin(path, attempt, tape)
            if facts or self._intake:
                self._start(self._turn([], taken=facts))

    def _begin(self, name: str, attempt: int, tape: Sequence[Recorded]) -> None:
        context = self._context.copy()  # not that of a body that ended: what it set there is its own
        self._tasks[name] = asyncio.get_running_loop().create_task(self._attempt(name, attempt, tape), name=name, context=context)

    async def _attempt(self, name: str, attempt: int, tape: Sequence[Recorded]) -> None:
        try:
            outcome = await self._executor.run(await self._preparing.task(name, attempt, tape))
        except asyncio.CancelledError:
            if self._stopping or self._record.running.get(name) != attempt:
                raise
            outcome = Failed(Failure("error", "CancelledError: the body cancelled itself", retryable=False))
        except Exception as error:  # the store failed, or a defect of ours: said at once, instead of a step that never ends
            self.fail(error)
            return
        self._intake.outcomes.append((name, attempt, outcome))
        if len(self._tasks) > 1 or self._stopping or self._trouble is not None:
            self._wake.set()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Nothing else runs whose outcome could share the commit: take the turn here (a chain's step in memory: 59 us, not 65)."""
        try:
            self._start(self._turn([]))
            self._alarm.set(self._record.schedule.next_timer(self.state))
        except Exception as error:  # the store failed, or a defect of ours: whoever drives raises it
            self.fail(error)
        if self.state.status.ended or self._idle():
            self._wake.set()

    # -- taking in

    def _turn(
        self, facts: list[Fact], blobs: Sequence[Blob] = (), *, actor: str = "driver", taken: Sequence[Fact] = ()
    ) -> list[Recorded]:
        """Record what was taken, what happened and what follows; returns the starts that follow. Cancelled steps are stopped."""
        held = list(blobs)
        kept: dict[str, bytes] = {}
        for event, _, _ in facts:
            if type(event) is SignalReceived and event.kind in ("pause", "resume", "cancel") and event.target is None:
                self.children.tell(event.kind, body_of(bytes(event.body.json)))
        if self._intake:
            facts += self._intake.take(self._tasks, held, kept)
        batch = self._record.commit(facts, held, actor=actor, taken=taken, wake=True)
        starts = []
        for recorded in batch:
            kind = type(recorded.event)
            if kind is StepStarted:
                starts.append(recorded)
            elif kind is StepCompleted and recorded.step in kept:
                self._preparing.outputs.keep(recorded.step, recorded.version, kept[recorded.step])
            elif kind in STOPPING and recorded.step in self._tasks:
                self._leave(self._tasks.pop(recorded.step))
            elif kind is BudgetReached:
                self.children.hold_back()
            elif kind is BudgetSet:
                self.children.hand_down()
        if self._record.schedule.looking:
            self._look_out()
        return starts

    def _look_out(self) -> None:
        """Begin the looks that the schedule wants."""
        for path in self._record.schedule.looking:
            if path not in self._looks and not (self._turns is not None and self._turns.has_look(path)):
                self._looks[path] = asyncio.get_running_loop().create_task(self._look(path))

    async def _look(self, path: str) -> None:
        """Look at the contents a step's start, or a group's end, hangs on."""
        try:
            seen = await self._preparing.look(path)
        except Exception as error:  # the store failed, or a defect of ours: said at once, instead of a step that never starts
            self.fail(error)
            return
        finally:
            self._looks.pop(path, None)
        if self._turns is None or not self._turns.keeps_look(path, seen):
            self._intake.seen.append((path, seen))
        self._wake.set()

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Stop a cancelled attempt; it is held until it has cleaned up."""
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.cancel()

    async def _take_signals(self) -> None:
        """Record the signals that came through the inbox, one commit each, and obey them."""
        for signal in await self.log.inbox(self.lease.run, self.state.inbox):
            if signal.id <= self.state.inbox:
                continue
            facts, blobs = facts_of(self.state, signal.kind, body_of(signal.body), signal.id, strict=False)
            before = set(self._record.running)
            self._start(self._turn(facts, blobs, actor=signal.actor))
            await self.lease.flush()
            self._around.tell_answers()
            resolved = [name for name in self._record.running if name not in before and name not in self._tasks]
            await self._redrive(resolved)

    def command(self, kind: str, body: dict[str, Any]) -> None:
        """Obey the run that called this one: recorded now, with what follows. What does not fit the state is passed over."""
        if refusal(self.state, kind, body) is None:
            facts, blobs = facts_of(self.state, kind, body, strict=False)
            self._start(self._turn(facts, blobs, actor="caller"))
            self._wake.set()

    def note(self, event: Event, step: str | None = None, attempt: int = 0) -> None:
        """Record what the runs around this one bring, with what follows: this run may have nothing else left to do.

        That a child rests or goes on is nothing to a closed attempt; what it used is.
        """
        closed = isinstance(event, ChildParked | ChildResumed) and (step is None or self._record.running.get(step) != attempt)
        if not (closed or self._stopping or self.state.status.ended):
            self._start(self._turn([(event, step, attempt)]))
            self._wake.set()

    def _idle(self) -> bool:
        """Whether nothing is under way. A step that was started counts before its task exists: its commit may be in flight."""
        if self._record.running and not self.state.open and not self.state.halted:
            return False  # asked after every step: the usual case first
        if self._intake or self._looks or self.children.stirring or self._record.schedule.next_timer(self.state) is not None:
            return False
        if self.state.halted and self.state.status is RunStatus.PAUSED:
            return True
        running = len(self._record.running)
        if running and (self.children.resting or self._around.asks):
            running -= len(resting_steps(self.state) - self._preparing.stood_in())
        return not running

    async def _settled(self) -> bool:
        """The last look before letting go: an inbox that is empty now stays somebody else's business."""
        seen = self.state.inbox
        await self._take_signals()
        if self._trouble is not None:
            raise self._trouble
        if not self.state.status.ended and (self.state.inbox != seen or not self._idle()):
            return False
        if not self.state.status.ended:
            self.parked = "paused" if self.state.status is RunStatus.PAUSED else "waiting"
        return True

    async def _watch(self) -> None:
        """Look at the inbox and the clock (which may jump: a laptop that slept), and sample the process."""
        sampler = Sampler(self.log, self.lease.run)
        try:
            while True:
                await asyncio.sleep(SIGNAL_SECONDS)
                if self.lease.error is not None:
                    raise self.lease.error
                if await self.log.inbox(self.lease.run, self.state.inbox):
                    await self._take_signals()
                    self._wake.set()
                self._alarm.look()
                sampler.tick()
        except Exception as error:  # whatever ends the watch ends the run's driving: it must not go on unheard
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the driving with an error: whoever drives raises it."""
        if self._trouble is None:
            self._trouble = error
        self._wake.set()

    async def _stop(self, watcher: asyncio.Task[None]) -> None:
        self._alarm.stop()
        self._stopping = True
        self.children.hold()
        tasks = {watcher, *self._tasks.values(), *self._looks.values()}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks | self._leaving, timeout=LEAVE_SECONDS)
        await self.children.stop()
        self._threads.close()
