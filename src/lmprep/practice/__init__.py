"""Graded practice: the tasks an interviewer sets, and a grader that can be trusted.

check("causal_attention", causal_attention)     # in a notebook: shows a report, never raises
grade("causal_attention", causal_attention)     # returns the report
"""

from collections import Counter
from dataclasses import replace

from lmprep.practice.catalog import TASKS
from lmprep.practice.report import Report, Result, execution_count
from lmprep.practice.task import Candidate, CheckFailed, Task, is_starter

__all__ = ["TASKS", "CheckFailed", "Report", "Result", "Task", "check", "grade"]

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
        ValueError: seed is negative, or time_limit not positive.
    """
    if seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed}")
    if not time_limit > 0:
        raise ValueError(f"time_limit must be positive seconds, got {time_limit}")
    task = TASKS[name]
    if is_starter(task, candidate):
        return Report(name, len(task.checks), tried=False)
    from lmprep.practice.grading import NotTried, run_checks

    try:
        return Report(name, len(task.checks), tuple(run_checks(task, candidate, seed)))
    except NotTried:
        return Report(name, len(task.checks), tried=False)


def check(name: str, candidate: Candidate) -> Report:
    """Grade a candidate, show the report with the next hint, and return it. Raises nothing.

    A starter left as it was is shown as not tried, and starts no process.
    """
    try:
        report = grade(name, candidate)
        if report.tried and not report.passed:
            _failed[name] += 1
            number = min(_failed[name], 3)
            report = replace(report, hint=(number, TASKS[name].hints[number - 1]))
    except Exception as error:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        problem = Result("the candidate can be graded", False, 0.0, got=f"{type(error).__name__}: {text}")
        report = Report(str(name), 0, (problem,))
    report.show()
    return replace(report, cell=execution_count())
