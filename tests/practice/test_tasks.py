"""Every task, tried the same way: right answers pass, wrong ones and cheats do not, nothing is given away."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from lmprep.practice import TASKS, Report, Result, Task, evasions, grade
from lmprep.practice.grading import NotTried, run_checks
from lmprep.practice.task import Candidate, is_starter

# Scope "module": the tests of one task run one after another, in one process, and share its `outcomes`.
every_task = pytest.mark.parametrize("name", list(TASKS), scope="module")


def first_failure(task: Task, answer: Candidate, seed: int = 0) -> Result | None:
    return next((result for result in run_checks(task, answer, seed) if not result.passed), None)


def survivors(task: Task, answers: dict[str, Candidate], seed: int = 0) -> list[str]:
    """Names of the answers that the task's checks let pass."""
    return [name for name, answer in answers.items() if first_failure(task, answer, seed) is None]


def rejected(task: Task, seeds: Iterable[int]) -> list[tuple[str, int, Result]]:
    """The right answers that the task's checks reject: name, seed and what they say."""
    right = {"the reference": task.reference, **task.also_right}
    failures = [(name, seed, first_failure(task, right[name], seed)) for name in right for seed in seeds]
    return [(name, seed, failure) for name, seed, failure in failures if failure is not None]


@cache
def outcomes(name: str) -> dict[str, tuple[Result, ...]]:
    """What every check says of every wrong answer and cheat, by the answer's name."""
    task = TASKS[name]
    return {
        wrong: tuple(run_checks(task, answer)) for wrong, answer in {**task.wrong, **evasions(task)}.items()
    }


def defined_by(starter: str, name: str) -> Candidate:
    """What running a starter, or an answer, in a notebook would define."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(starter, "<cell>", "exec"), namespace)
    return namespace[name]  # type: ignore[no-any-return]


def body_of(answer: Candidate) -> list[str]:
    """The lines of a function's or class's source, without signature and docstring, shorn of white space."""
    source = inspect.getsource(answer)
    if answer.__doc__:
        source = source.replace(answer.__doc__, "")
    lines = [bare(line) for line in source.splitlines()]
    ends = [index for index, line in enumerate(lines) if line.endswith(":")]
    return [line for line in lines[ends[0] + 1 :] if line.strip('"')]


def bare(text: str) -> str:
    return re.sub(r"\s", "", text.partition("  #")[0])


def secrets_of(task: Task) -> list[str]:
    """The lines of the reference that say something."""
    return [line for line in body_of(task.reference) if len(line) > 8]


def signatures_of(answer: Candidate) -> dict[str, str]:
    """Parameters and defaults by name, without annotations: of a function, or of a class's public methods."""
    functions = vars(answer) if isinstance(answer, type) else {answer.__name__: answer}
    found = {}
    for name, function in functions.items():
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            signature = inspect.signature(function)
            plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
            found[name] = str(signature.replace(parameters=plain, return_annotation=signature.empty))
    return found


# The grader is right.


@every_task
def test_right_answers_pass(name: str) -> None:
    assert rejected(TASKS[name], seeds=range(5)) == []


@every_task
def test_wrong_answers_and_cheats_fail(name: str) -> None:
    assert [answer for answer, results in outcomes(name).items() if all(r.passed for r in results)] == []


@every_task
@pytest.mark.parametrize("seed", [1, 2])
def test_wrong_answers_fail_for_other_inputs(name: str, seed: int) -> None:
    task = TASKS[name]
    assert survivors(task, dict(task.wrong), seed) == []


@every_task
def test_each_check_is_the_first_to_catch_something(name: str) -> None:
    """Otherwise nobody ever reads its message first: it is superfluous, or stands in the wrong place."""
    first = {[result.passed for result in results].index(False) for results in outcomes(name).values()}
    assert [check for index, check in enumerate(TASKS[name].properties) if index not in first] == []


@every_task
def test_reference_passes_in_the_worker(name: str) -> None:
    report = grade(name, TASKS[name].reference, seed=7, time_limit=60.0)
    assert report.passed, str(report)


# The testers are right: graders that are too lax or too strict do not get through them.


def accepts_everything(candidate: Candidate, rng: np.random.Generator) -> None:
    """Accepts everything."""


@every_task
def test_a_lax_grader_is_caught(name: str) -> None:
    task = TASKS[name]
    lax = replace(task, checks=(accepts_everything,))
    assert survivors(lax, dict(task.wrong)) == list(task.wrong)
    assert survivors(lax, evasions(task)) == list(evasions(task))
    assert survivors(lax, evasions(lax)) == list(evasions(lax)) != []


@every_task
def test_a_strict_grader_is_caught(name: str) -> None:
    task = TASKS[name]

    def rejects_others(candidate: Candidate, rng: np.random.Generator) -> None:
        """Is written like the reference."""
        assert candidate is task.reference

    strict = replace(task, checks=(rejects_others,))
    assert {name for name, _, _ in rejected(strict, seeds=[0])} == set(task.also_right)


# The exercise is stated well.


@every_task
def test_starter_is_not_tried(name: str) -> None:
    task = TASKS[name]
    starter = defined_by(task.starter, task.function)
    assert is_starter(task, starter)
    assert not grade(name, starter).tried
    with pytest.raises(NotTried):  # also where a comment or a variable keeps it from being recognized
        list(run_checks(task, starter))
    assert not is_starter(task, task.reference)


@every_task
def test_signatures_agree(name: str) -> None:
    task = TASKS[name]
    starter = defined_by(task.starter, task.function)
    assert signatures_of(starter) == signatures_of(task.reference)
    if not isinstance(starter, type):
        call = f"`{task.function}{signatures_of(starter)[task.function]}`"
        assert call in task.statement.replace("\n", " ")
    assert (starter.__doc__ or "").strip(), "the starter's docstring gives the shapes"


@every_task
def test_statement_is_two_to_six_sentences(name: str) -> None:
    sentences = re.findall(r"[.?!:](?=\s|$)", re.sub(r"\$[^$]*\$|`[^`]*`", "x", TASKS[name].statement))
    assert 2 <= len([end for end in sentences if end != ":"]) <= 6


@every_task
def test_reference_is_short_and_runs_where_it_is_shown(name: str) -> None:
    """The book prints its source as the solution: it must run in the cell whose imports the starter has."""
    task = TASKS[name]
    assert len(body_of(task.reference)) <= 15
    imports = [line for line in task.starter.splitlines() if re.match(r"(import|from) ", line)]
    source = "\n".join([*imports, inspect.getsource(task.reference)])
    assert first_failure(task, defined_by(source, task.function)) is None


@every_task
def test_hints_are_three_and_words(name: str) -> None:
    task = TASKS[name]
    assert len(set(task.hints)) == 3
    for hint in task.hints:
        assert len(hint.split()) >= 10
        assert not re.search(r"```|\w\.\w+\(", hint), "a hint shows code"
        assert [line for line in secrets_of(task) if line in bare(hint)] == []


@every_task
def test_reports_do_not_give_the_answer_away(name: str) -> None:
    secrets = secrets_of(TASKS[name])
    for results in outcomes(name).values():
        report = Report(name, len(results), results)
        shown = bare(str(report)) + bare(report._repr_html_())
        assert [line for line in secrets if line in shown] == []


@every_task
def test_failures_teach(name: str) -> None:
    """Each names the inputs, what was expected, what came, and what usually causes it."""
    for results in outcomes(name).values():
        failure = next(result for result in results if not result.passed)
        assert " = " in failure.case
        assert failure.expected and failure.got and failure.expected != failure.got
        assert len(failure.cause.split()) >= 3


@every_task
def test_the_first_case_is_small_enough_to_work_by_hand(name: str) -> None:
    case = next(results[0].case for results in outcomes(name).values() if not results[0].passed)
    assert len(case) < 400
