"""What a graded task is made of, and how to tell an answer from a starter left as it was."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Candidate = Callable[..., Any]
Check = Callable[[Candidate, "np.random.Generator"], None]


class CheckFailed(AssertionError):
    """A candidate lacks a property. The fields are what the reader is told.

    Args:
        property: what does not hold; "" stands for the property in the check's docstring.
        case: the inputs, compactly.
        expected, got: what should have come and what came.
        cause: what usually causes it.
    """

    def __init__(self, property: str, case: str, expected: str, got: str, cause: str) -> None:
        super().__init__(f"{property or 'failed'}: for {case}: expected {expected}, got {got}")
        self.property = property
        self.case = case
        self.expected = expected
        self.got = got
        self.cause = cause


@dataclass(frozen=True)
class Task:
    """One graded task. The package's docstring says how to write one.

    Args:
        name: the task's id, an identifier.
        entry: slug of the book's entry that it belongs to, or None.
        statement: what to write, complete, in MyST Markdown.
        starter: the code that the reader begins with; defines the function or class that is graded.
        reference: the plainest right answer, of the name and signature that the starter defines.
        hints: three, from a nudge to nearly the answer; no code.
        checks: one property each, named by the docstring; smallest cases first.
        wrong: named wrong answers, at least three, which the checks must reject.
        also_right: named right answers of other style, at least two, which the checks must accept.
        asked: how often interviews ask for it: 0 never, 1 now and then, 2 often, 3 in most.

    Raises:
        ValueError: a field does not meet what is said above.
    """

    name: str
    entry: str | None
    statement: str
    starter: str
    reference: Candidate
    hints: tuple[str, str, str]
    checks: tuple[Check, ...]
    wrong: Mapping[str, Candidate]
    also_right: Mapping[str, Candidate]
    asked: int

    def __post_init__(self) -> None:
        for field in ("statement", "starter"):
            object.__setattr__(self, field, getattr(self, field).strip())
        for holds, remedy in (
            (self.name.isidentifier(), f"name must be an identifier, got {self.name!r}"),
            (self.statement, "statement is empty: say what to write"),
            (self.function in _defined(self.starter), f"starter must define reference's {self.function}"),
            (len(self.hints) == 3 and all(map(str.strip, self.hints)), "hints must be three, none empty"),
            (self.checks, "checks is empty: nothing would be graded"),
            (all(map(_property, self.checks)), "each check needs a docstring: the property it looks at"),
            (len(self.wrong) >= 3, f"wrong needs at least three answers, got {len(self.wrong)}"),
            (len(self.also_right) >= 2, f"also_right needs at least two answers, got {len(self.also_right)}"),
            (self.asked in (0, 1, 2, 3), f"asked must be 0, 1, 2 or 3, got {self.asked}"),
        ):  # fmt: skip
            if not holds:
                raise ValueError(f"task {self.name!r}: {remedy}")

    @property
    def function(self) -> str:
        """Name of the function or class that the reader writes."""
        return self.reference.__name__

    @property
    def properties(self) -> tuple[str, ...]:
        """What the checks look at, in their order: the first line of each one's docstring."""
        return tuple(map(_property, self.checks))


def is_starter(task: Task, candidate: Candidate) -> bool:
    """Whether `candidate` is still the task's starter. Comments and docstrings do not matter."""
    starter = dict(_code_within(compile(task.starter, "<starter>", "exec")))
    starter = {name: code for name, code in starter.items() if name.split(".")[0] == task.function}
    written = dict(_code_of(candidate))
    return bool(written) and written == {name: starter.get(name) for name in written}


def _property(check: Check) -> str:
    return (check.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _defined(source: str) -> list[str]:
    """Names of the functions and classes at the top level of `source`."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return []
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _code_of(candidate: Candidate) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Qualified name and essence of a function's code, or of each method's of a class."""
    for item in vars(candidate).values() if isinstance(candidate, type) else [candidate]:
        code = getattr(item, "__code__", None)
        if isinstance(code, CodeType):
            yield item.__qualname__.rsplit("<locals>.")[-1], _essence(code)


def _code_within(module: CodeType) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for code in filter(lambda constant: isinstance(constant, CodeType), module.co_consts):
        yield code.co_qualname, _essence(code)
        yield from _code_within(code)


def _essence(code: CodeType) -> tuple[Any, ...]:
    """What the code does: no file, no line numbers, no text constants (the docstring is one of them)."""
    constants = [_essence(value) if isinstance(value, CodeType) else value for value in code.co_consts]
    kept = [repr(value) for value in constants if value is not None and not isinstance(value, str)]
    return code.co_code, code.co_names, code.co_varnames, tuple(kept)
