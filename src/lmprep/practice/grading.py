"""Grading in this process: what the tests and the worker both run."""

import dis
import time
from collections.abc import Iterator

import numpy as np

from lmprep.practice.report import Result
from lmprep.practice.task import Candidate, Check, CheckFailed, Task


class NotTried(Exception):
    """The candidate still raises the starter's NotImplementedError."""


def run_checks(task: Task, candidate: Candidate, seed: int = 0) -> Iterator[Result]:
    """The outcome of each check, as it comes. Each draws from a stream of its own.

    Raises:
        NotTried: the candidate's own `raise NotImplementedError` ends the first check.
    """
    for index, (check, property) in enumerate(zip(task.checks, task.properties, strict=True)):
        started = time.perf_counter()
        failure = _failure(check, candidate, np.random.default_rng([seed, index]))
        if failure is not None and index == 0 and _is_unwritten(failure.__cause__):
            raise NotTried
        yield outcome(property, failure, time.perf_counter() - started)


def outcome(property: str, failure: CheckFailed | None, seconds: float = 0.0) -> Result:
    """The result of a check of `property` that ended in `failure`, or passed."""
    if failure is None:
        return Result(property, True, seconds)
    return Result(failure.property or property, False, seconds, failure.case, failure.expected, failure.got,
                  failure.cause)  # fmt: skip


def _failure(check: Check, candidate: Candidate, rng: np.random.Generator) -> CheckFailed | None:
    try:
        check(candidate, rng)
    except CheckFailed as failure:
        return failure
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return CheckFailed("", "the inputs of this check", "an answer that the check can read", text[:300],
                           "an answer of an unusual type")  # fmt: skip
    return None


def _is_unwritten(error: BaseException | None) -> bool:
    """Whether a `raise` statement, not a library's operator, is where the NotImplementedError comes from."""
    if not isinstance(error, NotImplementedError) or error.__traceback__ is None:
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    return dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
