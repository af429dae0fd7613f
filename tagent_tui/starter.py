"""The files that `init` writes: a pipeline that runs as it is, and the functions it names.

Stands apart because these are texts for a reader: every line of them is the first thing somebody learns about pipeline files.
"""

from __future__ import annotations

PIPELINE = """\
# A starter pipeline. Try it, change it, run it again:
#
#   tagent-tui validate pipeline.yaml             is it well formed?
#   tagent-tui graph pipeline.yaml                what does it look like? (Mermaid)
#   tagent-tui run pipeline.yaml --offline        run it without a key or a network (answers are labelled simulated)
#   tagent-tui run pipeline.yaml --model ollama/llama3.2 -p topic=bees
#   tagent-tui show last                          what happened; `tagent-tui` alone opens the screens

name: starter
description: Write a short, checked note about a topic

# What a run may be given with -p NAME=VALUE, and what is used if it is not.
# A plain value is a default; a mapping with a type says more and is checked.
params:
  topic: the history of paper
  words: {type: integer, default: 80, minimum: 20, description: how long the note is}

# Rules that every goal step is told.
constraints:
  - Write plain English, no headings.

steps:
  # A step with `run` calls a Python function: module:function, here from tools.py beside this file. Its parameters are
  # filled by name from the outputs of the steps it depends on, then from the params.
  - name: outline
    run: tools:outline

  # A step with `goal` asks the model. It sees the outputs of the steps it depends on; ${{ ... }} puts values into its text.
  # `for_each` runs it once for each item of a list; its output is the list of the answers, in order.
  - name: answers
    goal: Answer in at most two sentences. ${{ item }}
    for_each: steps.outline.output
    max_concurrent: 2     # items at once
    depends_on: [outline]

  - name: draft
    goal: Make one note of about ${{ params.words }} words of the answers.
    depends_on: [answers]
    timeout: 120          # seconds for one attempt
    max_retries: 2        # tried three times at most, further and further apart

  # A step with a `condition` runs only if that holds. One that was skipped keeps nobody waiting: its output is just not there.
  - name: summary
    goal: Say it in one sentence.
    condition: params.words > 200
    depends_on: [draft]

  # `concurrent` steps run side by side; `serial` ones (the default) one after another.
  - name: title
    goal: Find a title for the outline.
    depends_on: [outline]
    execution_mode: concurrent
    # The answer has to fit this JSON Schema; it is repaired once and refused otherwise.
    output_schema:
      type: object
      properties:
        title: {type: string, minLength: 3, maxLength: 80}
      required: [title]

  # The output of the step marked `final` is the result of the run.
  - name: note
    run: tools:note
    depends_on: [draft, title, summary]
    final: true
"""

TOOLS = '''\
"""The functions of pipeline.yaml. They are plain Python: import what you like, test them like any other function."""


def outline(topic: str, words: int, ctx) -> list[str]:
    """`topic` and `words` are params of the pipeline; `ctx` is there if a function asks for it."""
    ctx.log(f"outlining {topic!r}")
    return [f"What is {topic}?", f"Why does it matter? (in {words} words)", "What to read next"]


def note(draft: str, title: dict, summary: str = "") -> str:
    """`draft`, `title` and `summary` are the outputs of the steps of those names; `summary` may have been skipped."""
    return "\\n\\n".join(filter(None, [title["title"], summary, draft]))
'''

FILES = {"pipeline.yaml": PIPELINE, "tools.py": TOOLS}
"""File names and contents, in the order they are written."""
