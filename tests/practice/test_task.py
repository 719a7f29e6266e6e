"""Tasks: what they must have, where they are found, and when an answer is still the starter."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from lmprep.practice import TASKS, Task
from lmprep.practice.task import Candidate, is_starter

STARTER = '''
import math


def area(radius: float, *, half: bool = False) -> float:
    """Area of a circle."""
    raise NotImplementedError
'''


def area(radius: float, *, half: bool = False) -> float:
    return 3.14 * radius**2 / (2 if half else 1)


def holds(candidate: Candidate, rng: Any) -> None:
    """Is right.

    Nobody reads this line.
    """


def task(**fields: Any) -> Task:
    return Task(
        **{
            "name": "circle",
            "entry": None,
            "statement": "\nWrite it.\n",
            "starter": STARTER,
            "reference": area,
            "hints": ("One.", "Two.", "Three."),
            "checks": (holds,),
            "wrong": dict.fromkeys("abc", area),
            "also_right": dict.fromkeys("ab", area),
            "asked": 1,
            **fields,
        }
    )


def written(source: str, name: str = "area") -> Any:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace[name]


def test_task_names_its_function_and_properties() -> None:
    assert task().function == "area"
    assert task().properties == ("Is right",)
    assert task().statement == "Write it."
    assert task().starter == STARTER.strip()


def undocumented(candidate: Candidate, rng: Any) -> None: ...


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a circle"}, "name must be an identifier, got 'a circle'"),
        ({"statement": "  \n"}, "statement is empty"),
        ({"starter": "def volume(): ..."}, "starter must define reference's area"),
        ({"starter": "def area(:"}, "starter must define reference's area"),
        ({"hints": ("One.", "Two.")}, "hints must be three"),
        ({"hints": ("One.", " ", "Three.")}, "hints must be three, none empty"),
        ({"checks": ()}, "checks is empty"),
        ({"checks": (undocumented,)}, "each check needs a docstring"),
        ({"wrong": {"a": area}}, "wrong needs at least three answers, got 1"),
        ({"also_right": {"a": area}}, "also_right needs at least two answers, got 1"),
        ({"asked": 4}, "asked must be 0, 1, 2 or 3, got 4"),
    ],
)
def test_incomplete_task_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"task .*{message}"):
        task(**fields)


def test_task_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        task().name = "other"  # type: ignore[misc]


# The starter.


@pytest.mark.parametrize(
    "source",
    [
        STARTER,
        STARTER.replace("Area of a circle.", "What I think it is."),
        STARTER.replace("    raise", "    # TODO think\n\n    raise"),
        STARTER.replace("float", "int"),
        "x = 1\n" * 20 + STARTER,
    ],
    ids=["as given", "another docstring", "a comment", "other annotations", "further down"],
)
def test_starter_is_recognized(source: str) -> None:
    assert is_starter(task(), written(source))


@pytest.mark.parametrize(
    "source",
    [
        STARTER.replace("raise NotImplementedError", "return 3.14 * radius ** 2"),
        STARTER.replace("raise NotImplementedError", "pass"),
        STARTER.replace("raise NotImplementedError", "raise ValueError"),
        STARTER.replace("    raise", "    r = radius\n    raise"),
        STARTER.replace("raise NotImplementedError", "return lambda: 1"),
        STARTER.replace("def area", "def volume").replace("half: bool = False", "h: bool = False")
        + "\narea = volume",
    ],
    ids=["an answer", "pass", "another error", "a beginning", "a lambda", "another function"],
)
def test_anything_else_is_tried(source: str) -> None:
    assert not is_starter(task(), written(source))


@pytest.mark.parametrize("candidate", [None, 3, "area", print, len, int, object(), [].append])
def test_what_has_no_code_is_no_starter(candidate: Any) -> None:
    assert not is_starter(task(), candidate)


CLASS = '''
class Scaler:
    """Multiplies."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        """Do it."""
        raise NotImplementedError
'''


class Scaler:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x: float) -> float:
        return self.factor * x


def test_a_class_is_a_starter_while_no_method_has_changed() -> None:
    classes = task(starter=CLASS, reference=Scaler)
    assert is_starter(classes, written(CLASS, "Scaler"))
    assert not is_starter(classes, written(CLASS.replace("raise NotImplementedError", "return x"), "Scaler"))
    more = CLASS + "\n    def twice(self):\n        return 1\n"
    assert not is_starter(classes, written(more, "Scaler"))
    assert not is_starter(classes, Scaler)


def test_starter_with_a_constant_that_differs_is_tried() -> None:
    given = (
        "def area(radius, *, half=False):\n    if half:\n        return 0.0\n    raise NotImplementedError\n"
    )
    assert is_starter(task(starter=given), written(given))
    assert not is_starter(task(starter=given), written(given.replace("0.0", "1.0")))


# The catalog.


def test_catalog_is_a_mapping_of_tasks_by_their_names() -> None:
    assert len(TASKS) == len(list(TASKS)) == len(set(TASKS)) >= 2
    assert all(TASKS[name].name == name for name in TASKS)
    assert "causal_attention" in TASKS and "no_such" not in TASKS
    assert TASKS["causal_attention"] is TASKS["causal_attention"]


def test_every_file_of_a_task_is_in_the_catalog(root: Path) -> None:
    files = sorted(path.stem for path in root.glob("src/lmprep/practice/*/*.py") if path.stem != "__init__")
    assert sorted(TASKS) == files


def test_unknown_task_is_told_what_it_may_have_meant() -> None:
    with pytest.raises(KeyError, match="no task is called 'causal_atention'; is it causal_attention"):
        TASKS["causal_atention"]
    assert TASKS.get("no_such") is None


def test_importing_the_catalog_loads_no_task_and_one_access_loads_one() -> None:
    code = """
import sys
import lmprep.practice as practice
heavy = {"torch", "numpy", "dill", "IPython", "rich", "multiprocessing"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
len(practice.TASKS), list(practice.TASKS), "causal_attention" in practice.TASKS
loaded = lambda: sorted(m for m in sys.modules if m.startswith("lmprep.practice.") and m.count(".") > 2)
assert loaded() == [], loaded()
practice.TASKS["causal_attention"]
assert loaded() == ["lmprep.practice.architectures.causal_attention"], loaded()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_replace_validates_again() -> None:
    with pytest.raises(ValueError, match="asked"):
        replace(task(), asked=7)


def test_candidate_without_a_body_of_its_own_is_no_starter() -> None:
    assert not is_starter(task(), FunctionType(compile("1", "<cell>", "exec"), {}))
