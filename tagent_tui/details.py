"""Fetching what the detail pane shows: the values, messages and events of one step or effect.

Apart from the pane because it waits for the store, and from `view/detail.py` because that does not. Nothing larger than what is
shown is decoded; `upto` keeps a replay from seeing the future.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from store import values
from store.errors import BlobMissingError, StoreError
from store.events import (
    EditApplied,
    EffectRequested,
    Failure,
    Payload,
    Recorded,
    RunCreated,
    RunId,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepRefused,
    StepReused,
)
from store.log import Log
from store.state import ArtifactRef, group_of
from tagent_tui.rows import BLANK, Ink, Row, Seg
from tagent_tui.text import TOTAL_CAP, lines
from tagent_tui.view import detail, messages
from tagent_tui.view.about import DECIDED_TYPES, about, decided
from tagent_tui.view.asking import Wait
from tagent_tui.view.card import Asked
from tagent_tui.view.describe import Around
from tagent_tui.view.detail import EVENTS_SHOWN, Failed, Subject, Tab
from tagent_tui.view.document import Content, Para, Part, content_of, json_text, value_part
from tagent_tui.view.effects import EFFECT_TYPES, EffectLine, effect_lines
from tagent_tui.view.folded import whole_text
from tagent_tui.view.scene import Scene

ARTIFACTS_SHOWN = 20
EFFECTS_SHOWN = 5_000
STEPS_KEPT = 8
"""Steps whose effects stay in memory, so that a replay folds them at every event without reading."""

INPUTS_SHOWN = 50
MESSAGES_SHOWN = 400


class Details:
    """The details of one run's steps; one question at a time, each answered from the store."""

    def __init__(self, log: Log, run: RunId) -> None:
        self.log, self.run = log, run
        self.fetches = 0
        self._kept: OrderedDict[str, tuple[int, list[Recorded]]] = OrderedDict()

    async def effects(self, step: str, upto: int | None = None, *, touched: int = 0) -> list[EffectLine]:
        """What the step did to the world, in order. `touched` is its last event that is known: older readings are read again."""
        known = self._kept.get(step)
        if known is None or known[0] < touched:
            self.fetches += 1
            found = await self.log.events(self.run, step=step, types=EFFECT_TYPES, limit=EFFECTS_SHOWN)
            known = self._kept[step] = (max(touched, found[-1].version if found else 0), found)
        self._kept.move_to_end(step)
        while len(self._kept) > STEPS_KEPT:
            self._kept.popitem(last=False)
        return effect_lines(known[1], upto)

    async def parts(self, scene: Scene, subject: Subject, tab: Tab, upto: int | None = None, *, touched: int = 0) -> list[Part]:
        """What a tab says of the subject, its heading first."""
        self.fetches += 1
        line = None
        try:
            if subject.effect is not None or tab in (Tab.PROMPT, Tab.MESSAGES):
                line = self._line(await self.effects(subject.step, upto, touched=touched), subject, tab)
            body = await self._body(scene, subject, tab, line, upto)
        except StoreError as error:
            body = [Para(lines(str(error)).lines, Ink.MUTED)]
        model = line.name if line is not None and line.kind == "model" else ""
        head = detail.heading(scene, subject, line if subject.effect is not None else None, model=model)
        return [BLANK, head, BLANK, *(body or [Row([Seg("nothing here", Ink.MUTED)])])]

    def _line(self, lines: Sequence[EffectLine], subject: Subject, tab: Tab) -> EffectLine | None:
        if subject.effect is not None:
            return next((line for line in lines if line.version == subject.effect), None)
        asked = [line for line in lines if line.kind == "model"]
        if not asked:
            return None
        return asked[-1] if tab is Tab.MESSAGES else next(line for line in asked if line.attempt == asked[-1].attempt)

    async def _body(self, scene: Scene, subject: Subject, tab: Tab, line: EffectLine | None, upto: int | None) -> list[Part]:
        match tab:
            case Tab.OUTPUT:
                if subject.effect is not None:
                    return await self._effect_output(scene, line)
                return [*await self._about(scene, subject.step, upto), *await self._output(scene, subject)]
            case Tab.ERROR:
                before = await self._about(scene, subject.step, upto) if subject.effect is None else []
                return [*before, *await self._errors(scene, subject, line, upto)]
            case Tab.INPUT:
                return await (self._inputs(scene, subject) if subject.effect is None else self._arguments(scene, line))
            case Tab.PROMPT:
                return await self._prompt(scene, subject, line)
            case Tab.MESSAGES:
                return await self._messages(scene, subject, line)
            case Tab.EVENTS:
                return await self._events(scene, subject, upto)
            case Tab.EVENT:
                return []

    async def content(self, payload: Payload) -> Content:
        """A payload as a person reads it."""
        return content_of(await self.log.text(payload))

    async def output_payload(self, version: int) -> Payload | None:
        """The payload of the event that brought an output."""
        found = await self.log.events(self.run, after=version - 1, upto=version)
        event = found[0].event if found else None
        return event.output if isinstance(event, StepCompleted | StepReused | EditApplied) else None

    async def _about(self, scene: Scene, name: str, upto: int | None) -> list[Part]:
        """What was decided about the step, and a blank row after it."""
        if not decided(scene, name):
            return []
        found = await self.log.events(self.run, step=name, types=DECIDED_TYPES, upto=upto, limit=100)
        said: list[Part] = [*about(scene, name, found)]
        return [*said, BLANK] if said else []

    async def _output(self, scene: Scene, subject: Subject) -> list[Part]:
        step = scene.state.steps.get(subject.step)
        made = await self._artifacts(scene, subject.step)
        if step is None or step.output is None:
            live = scene.lives.get(subject.step, "")
            return [*detail.standing(scene, subject.step, live=live), *([BLANK, *made] if made else [])]
        payload = await self.output_payload(step.output)
        if payload is None:
            return made
        said = detail.output(scene, subject, await self.content(payload))
        return [*made, BLANK, detail.caption("output", payload.size), BLANK, *said] if made else said

    async def _artifacts(self, scene: Scene, step: str) -> list[Part]:
        """The artifacts a step made: named, and those that are text in full, up to what a pane shows."""
        parts: list[Part] = []
        for one in [one for one in scene.state.artifacts if one.step == step][:ARTIFACTS_SHOWN]:
            parts += [BLANK] if parts else []
            parts.append(detail.caption(one.name, one.size))
            if _is_text(one):
                text = (await self.log.blob(one.blob)).decode("utf-8", "replace")
                content = Content(text[:TOTAL_CAP], one.size, cut=len(text) > TOTAL_CAP)
                parts += [BLANK, *value_part(content, glyphs=scene.glyphs)]
        return parts

    async def _effect_output(self, scene: Scene, line: EffectLine | None) -> list[Part]:
        if line is None:
            return []
        if line.value is None:
            return detail.effect_standing(scene, line)
        return detail.output(scene, Subject(""), await self.content(line.value))

    async def _arguments(self, scene: Scene, line: EffectLine | None) -> list[Part]:
        if line is None or not line.arguments.size:
            return []
        return detail.output(scene, Subject(""), await self.content(line.arguments))

    async def _errors(self, scene: Scene, subject: Subject, line: EffectLine | None, upto: int | None) -> list[Part]:
        if line is not None and line.failure is not None:
            traced = await self.content(line.failure.detail) if line.failure.detail is not None else None
            return detail.errors(scene, [Failed(line.attempt, line.ended_at or line.requested_at, line.failure, traced)])
        found = await self.log.events(self.run, step=subject.step, types={"step.failed", "step.refused"}, upto=upto, limit=100)
        shown = []
        for recorded in reversed(found):
            if isinstance(recorded.event, StepRefused):
                shown.append(Failed(recorded.attempt, recorded.at, Failure(recorded.event.kind, recorded.event.reason), None))
            elif isinstance(recorded.event, StepFailed):
                kept = recorded.event.failure.detail
                shown.append(Failed(recorded.attempt, recorded.at, recorded.event.failure, await self._trace(kept)))
        return detail.errors(scene, shown)

    async def _trace(self, kept: Payload | None) -> Content | None:
        if kept is None:
            return None
        try:
            return await self.content(kept)
        except BlobMissingError:
            return None

    async def _inputs(self, scene: Scene, subject: Subject) -> list[Part]:
        found: list[tuple[str, Any, Content | None]] = []
        if detail.is_item(scene, subject.step):
            found.append(("item", None, await self._item(scene, subject.step)))
        needs = scene.outline.step(group_of(subject.step) or subject.step).needs
        for name in needs[:INPUTS_SHOWN]:
            payload = await self._output_of(scene, name)
            found.append((name, scene.state.steps.get(name), await self.content(payload) if payload is not None else None))
        parts = detail.inputs(scene, found)
        if len(needs) > INPUTS_SHOWN:
            parts += [BLANK, Row([Seg(f"and {len(needs) - INPUTS_SHOWN:,} more", Ink.MUTED)])]
        return parts

    async def _item(self, scene: Scene, path: str) -> Content | None:
        """What a child of a group was made for."""
        group = group_of(path) or path
        version = scene.state.steps[group].evaluated or 0
        found = await self.log.events(self.run, after=version - 1, upto=version)
        event = found[0].event if found else None
        items = await self.log.value(event.values) if isinstance(event, StepEvaluated) else None
        index = int(path[len(group) + 1 : -1])
        return content_of(values.encode(items[index])) if isinstance(items, list) and index < len(items) else None

    async def _prompt(self, scene: Scene, subject: Subject, line: EffectLine | None) -> list[Part]:
        step = scene.outline.step(subject.step)
        what = [("goal", step.goal), ("agent", step.agent)]
        if line is None:
            return detail.fields(what, scene)
        asked = await self.request(line)
        params = asked.get("params")
        parts = detail.fields([*what, ("model", line.name), ("with", json_text(params) if params else "")], scene)
        sent = await self.conversation(asked)
        return [*parts, BLANK, *messages.messages(scene, sent, whole=True)]

    async def _messages(self, scene: Scene, subject: Subject, line: EffectLine | None) -> list[Part]:
        if line is None:
            return [Row([Seg("no model was asked yet", Ink.MUTED)])]
        sent = await self.conversation(await self.request(line))
        text, calls = "", None
        if line.value is not None:
            value = await self.log.value(line.value)
            text = str(value.get("text", "")) if isinstance(value, dict) else json_text(value)
            calls = value.get("tool_calls") if isinstance(value, dict) else None
        live = scene.lives.get(subject.step, "")
        return [*messages.messages(scene, sent), *messages.reply(scene, line, text, calls=calls, live=live)]

    async def request(self, line: EffectLine) -> Mapping[str, Any]:
        """The arguments of a model call."""
        found = await self.log.value(line.arguments) if line.arguments.size else {}
        return found if isinstance(found, dict) else {}

    async def conversation(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The messages a call sent, oldest first; of a long conversation the last ones."""
        chain = asked.get("messages")
        if isinstance(chain, list):
            return [message for message in chain if isinstance(message, dict)][-MESSAGES_SHOWN:]
        head = chain.get("chain") if isinstance(chain, dict) else None
        if not isinstance(head, str):
            return []
        found = await self.log.messages(head)
        return [message for message in found if isinstance(message, dict)][-MESSAGES_SHOWN:]

    async def _events(self, scene: Scene, subject: Subject, upto: int | None) -> list[Part]:
        found = await self.log.events(self.run, step=subject.step, upto=upto, limit=EVENTS_SHOWN + 1)
        shown = found[:EVENTS_SHOWN]
        known = {recorded.version: recorded for recorded in shown}
        around = Around(known.get, scene.state.steps.get)
        return detail.event_list(scene, shown, around, more=len(found) > len(shown))

    async def asked(self, scene: Scene, wait: Wait) -> Asked:
        """What a person is asked: of an approval what would run and what it would be given, of a question its text and choices."""
        self.fetches += 1
        if wait.request is not None:
            found = await self.log.events(self.run, after=wait.request - 1, upto=wait.request)
            event = found[0].event if found else None
            told = await self.log.value(event.arguments) if isinstance(event, EffectRequested) and event.arguments.size else {}
            told = told if isinstance(told, dict) else {}
            choices = told.get("choices")
            return Asked(wait, (), str(told.get("question", wait.text)), choices if isinstance(choices, list) else ())
        step = scene.outline.step(wait.step)
        texts = [("goal", Content(step.goal, len(step.goal.encode("utf-8", "replace"))))] if step.goal else []
        created = (await self.log.events(self.run, limit=1))[0].event
        if isinstance(created, RunCreated) and created.params.size > len("{}"):
            texts.append(("params", await self.content(created.params)))
        for name in step.needs[:INPUTS_SHOWN]:
            payload = await self._output_of(scene, name)
            if payload is not None:
                texts.append((name, await self.content(payload)))
        return Asked(wait, texts)

    async def whole(self, scene: Scene | None, subject: Subject, tab: Tab) -> str | None:
        """All of the values a tab shows a part of, however large; None where the pane shows everything there is."""
        if scene is None or tab not in (Tab.OUTPUT, Tab.INPUT):
            return None
        if subject.effect is not None:
            line = self._line(await self.effects(subject.step), subject, tab)
            payload = None if line is None else line.value if tab is Tab.OUTPUT else line.arguments
            return await self._whole_text(payload) if payload is not None and payload.size else None
        if tab is Tab.INPUT:
            needs = scene.outline.step(subject.step).needs
            found = [(name, await self._output_of(scene, name)) for name in needs]
            return "\n\n".join([f"{name}\n{await self._whole_text(payload)}" for name, payload in found if payload is not None])
        payload = await self._output_of(scene, subject.step)
        if payload is None:
            return None
        made = [one for one in scene.state.artifacts if one.step == subject.step and _is_text(one)]
        texts = [(await self.log.blob(one.blob)).decode("utf-8", "replace") for one in made]
        return "\n\n".join([*texts, await self._whole_text(payload)])

    async def _output_of(self, scene: Scene, name: str) -> Payload | None:
        step = scene.state.steps.get(name)
        return await self.output_payload(step.output) if step is not None and step.output is not None else None

    async def _whole_text(self, payload: Payload) -> str:
        return whole_text(await self.log.value(payload))


def _is_text(artifact: ArtifactRef) -> bool:
    return artifact.media_type.startswith(("text/", "application/json"))
