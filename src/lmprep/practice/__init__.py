"""Graded practice: the tasks that interviewers set, and a grader to rely on.

    check("causal_attention", causal_attention)   # in a notebook: shows a report, raises nothing
    grade("causal_attention", causal_attention)   # returns the report

How to write a task
-------------------
A task is one file, `practice/<part>/<name>.py`, that ends in `TASK = Task(...)`, and one line in
`tasks.txt`. `architectures/causal_attention.py` is a model to copy. In the order of the file:

1. *Statement*: two to six sentences of Markdown, the call in backticks as in the starter. A reader must
   be able to derive from it whatever a check looks at: every convention, edge case, dtype, and whether
   gradients flow.
2. *Starter*: what an interviewer puts on the screen: imports, signature, shapes, `raise
   NotImplementedError`.
3. *Hints*: a nudge, the idea, nearly the answer; words, no code.
4. *Reference*: the plainest right answer, at most 15 lines.
5. *Checks*: functions of `(candidate, rng)`. The docstring's first line is the property that the reader
   sees. Make a `Call`, ask things of it, smallest sizes first, so that the first failure is the smallest.
   Compare with a library, a closed form or brute force, not with the reference. Draw inputs from `rng`:
   each seed is another exam, and none may reject a right answer. Begin with what tells the reader most
   (type and shape), then one property that each common error breaks, then agreement, then edges: length
   1, empty, extreme values, masked rows, float64, memory that is not contiguous, gradients, `unchanged`
   inputs. Every failure names what usually causes it, in the words of someone who has seen it often.
6. *Wrong answers*: what candidates really write, at least three, each a small change; and *also right*:
   at least two of other style (a loop, a library call, another dtype inside), which keep the checks from
   being narrow.

`pytest tests/practice -k <name>` then tries to break the task: the reference and the right answers pass
under five seeds, every wrong answer fails, and so does each of `evasions(task)`: cheats made from the
reference, such as zeros, an argument ignored, the first row only, the right answer with an input changed
in place. A survivor shows something that no check looks at: write that check. Where the rules in
`cheats.py` make a cheat that is right for your task, mend the rule.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lmprep.practice.catalog import TASKS
from lmprep.practice.report import Report, Result, execution_count
from lmprep.practice.task import Candidate, CheckFailed, Task, is_starter

__all__ = ["TASKS", "CheckFailed", "Report", "Result", "Task", "check", "evasions", "grade"]

_failed: Counter[str] = Counter()  # failed attempts by task: how many hints are due


def grade(name: str, candidate: Candidate, *, seed: int = 0, time_limit: float = 10.0) -> Report:
    """Grade a candidate in a process of its own.

    An endless loop, a crash, `sys.exit` or gigabytes of memory are a failed check.

    Args:
        name: of the task.
        candidate: the reader's function or class.
        seed: of the checks' inputs; whether an answer passes does not depend on it.
        time_limit: seconds for all checks together.

    Raises:
        KeyError: there is no such task.
        ValueError: seed is negative, or time_limit not positive or not finite.
        RuntimeError: the grader's process does not start.
    """
    if seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed}")
    if not 0 < time_limit < math.inf:
        raise ValueError(f"time_limit must be positive, finite seconds, got {time_limit}")
    task = TASKS[name]
    if is_starter(task, candidate):
        return Report(name, len(task.checks), tried=False)
    from lmprep.practice.isolation import grade_apart

    return grade_apart(task, candidate, seed, time_limit)


def check(name: str, candidate: Candidate) -> Report:
    """Grade a candidate, show the report with the next hint, and return it. Raises nothing.

    A starter left as it was is shown as not tried, and starts no process.
    """
    try:
        report = grade(name, candidate)
        if report.checks and report.tried and not report.passed:
            _failed[name] += 1
            number = min(_failed[name], 3)
            report = replace(report, hint=(number, TASKS[name].hints[number - 1]))
    except Exception as error:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        problem = Result("The answer can be graded", False, 0.0, got=f"{type(error).__name__}: {text}")
        report = Report(str(name), 0, (problem,))
    report.show()
    return replace(report, cell=execution_count())


def evasions(task: Task) -> dict[str, Callable[..., Any]]:
    """Answers that cheat, derived from the task's reference, by name. A grader must reject them all."""
    from lmprep.practice.cheats import cheats

    return cheats(task)
