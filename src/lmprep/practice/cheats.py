"""Cheats derived from a task's reference: answers that a lax grader would let pass.

Each does the reference's work and spoils one thing, or does less. Which of them make sense for a task is
read from how its checks call the reference and from its statement, never from its name: a cheat that makes
sense and survives shows something that the checks do not look at.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmprep.practice.checks import copied, dtype_name, identical
from lmprep.practice.task import Candidate, CheckFailed, Task

_FLOWS = re.compile(r"gradients? (must )?flow|differentiable", re.IGNORECASE)  # part of what is asked for


@dataclass(frozen=True)
class _Seen:
    """One call that the checks made of the reference: arguments, result, and which arguments it changed."""

    arguments: dict[str, Any]
    result: Any
    changed: frozenset[str]


def cheats(task: Task) -> dict[str, Candidate]:
    """The cheats that make sense for a task, by name. Made anew at each call: some remember."""
    reference, flows = task.reference, bool(_FLOWS.search(task.statement))
    if not isinstance(reference, type):
        return dict(_cheats_of(reference, _record(task, reference, lambda recorder: recorder), flows))
    found: dict[str, Candidate] = {}
    for name, method in _methods(reference).items():
        exchange = functools.partial(_exchange, reference, name)
        for cheat, spoiled in _cheats_of(method, _record(task, method, exchange), flows):
            if name != "__init__" or cheat.startswith("ignores"):
                found[f"{name}: {cheat}"] = exchange(spoiled)
    return found


def _methods(reference: type) -> dict[str, Candidate]:
    """The constructor and the methods that a class defines for its users."""
    special = ("__init__", "__call__")
    own = {name: item for name, item in vars(reference).items() if inspect.isfunction(item)}
    return {name: item for name, item in own.items() if name in special or not name.startswith("_")}


def _exchange(reference: type, name: str, method: Candidate) -> type:
    return type(reference.__name__, (reference,), {name: method})


def _record(task: Task, function: Candidate, candidate: Callable[[Candidate], Candidate]) -> list[_Seen]:
    """How the task's checks call `function`; `candidate` makes an answer of what stands in for it."""
    seen: list[_Seen] = []
    signature = inspect.signature(function)

    @functools.wraps(function)
    def recorder(*args: Any, **kwargs: Any) -> Any:
        before = _bound(signature, args, kwargs)
        arguments = {name: copied(value) for name, value in before.items()}
        result = function(*args, **kwargs)
        changed = frozenset(name for name, value in before.items() if not identical(arguments[name], value))
        seen.append(_Seen(arguments, result, changed))
        return result

    for index, check in enumerate(task.checks):
        with suppress(CheckFailed):  # a reference that fails is another test's matter
            check(candidate(recorder), np.random.default_rng([0, index]))
    return seen


def _bound(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name != "self"}


def _cheats_of(function: Candidate, seen: list[_Seen], flows: bool) -> Iterator[tuple[str, Candidate]]:
    yield "returns nothing", functools.wraps(function)(lambda *args, **kwargs: None)
    yield from _results_spoiled(function, seen, flows)
    yield from _calls_remembered(function, seen)
    yield from _arguments_spoiled(function, seen)


# What is done to the result.


def _results_spoiled(function: Candidate, seen: list[_Seen], flows: bool) -> Iterator[tuple[str, Candidate]]:
    leaves = [leaf for call in seen for leaf in _leaves(call.result)]
    chance = any(_is_generator(value) for call in seen for value in call.arguments.values())
    has_rows = any(_is_array(leaf) and leaf.ndim and len(leaf) > 1 for leaf in leaves)
    flows = flows or any(getattr(leaf, "requires_grad", False) for leaf in leaves)
    spoiled: tuple[tuple[str, bool, Callable[[Any], Any]], ...] = (
        ("zeros", bool(leaves), _zero),
        ("NaN at the end", any(map(_is_float, leaves)), _nan_at_end),
        ("one per cent off", not chance and any(map(_is_number, leaves)), lambda leaf: _off(leaf, 1.01)),
        ("half as much again", any(map(_is_number, leaves)), lambda leaf: _off(leaf, 1.5)),
        ("another dtype", any(map(_is_array, leaves)), _other_dtype),
        ("first row, then zeros", has_rows, lambda leaf: _rows(leaf, 0)),
        ("right for a batch of one only", has_rows, lambda leaf: _rows(leaf, 1)),
        ("cut off from autograd", flows, lambda leaf: leaf.detach() if hasattr(leaf, "detach") else leaf),
    )
    for name, applies, spoil in spoiled:
        if applies:
            yield name, _then(function, functools.partial(_mapped, spoil))
    parts = max((len(call.result) for call in seen if isinstance(call.result, tuple)), default=0)
    for index in range(parts):
        name = f"zeros for result {index + 1} of {parts}"
        yield name, _then(function, functools.partial(_with_zero_part, index))
    if any(isinstance(call.result, str | list) and call.result for call in seen):
        yield "last item missing", _then(function, lambda result: result and result[:-1])


def _then(function: Candidate, spoil: Callable[[Any], Any]) -> Candidate:
    @functools.wraps(function)
    def cheat(*args: Any, **kwargs: Any) -> Any:
        return spoil(function(*args, **kwargs))

    return cheat


def _leaves(result: Any) -> Iterator[Any]:
    """The arrays, numbers and texts in a result."""
    if isinstance(result, dict | list | tuple):
        for item in result.values() if isinstance(result, dict) else result:
            yield from _leaves(item)
    elif _is_array(result) or isinstance(result, bool | int | float | str):
        yield result


def _mapped(change: Callable[[Any], Any], result: Any) -> Any:
    if isinstance(result, dict):
        return {key: _mapped(change, item) for key, item in result.items()}
    if type(result) in (list, tuple):
        return type(result)(_mapped(change, item) for item in result)
    return change(result) if _is_array(result) or isinstance(result, bool | int | float | str) else result


def _with_zero_part(index: int, result: Any) -> Any:
    if not isinstance(result, tuple) or index >= len(result):
        return result
    return (*result[:index], _mapped(_zero, result[index]), *result[index + 1 :])


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "ndim")


def _is_float(leaf: Any) -> bool:
    return "float" in dtype_name(leaf.dtype) if _is_array(leaf) else isinstance(leaf, float)


def _is_number(leaf: Any) -> bool:
    if _is_array(leaf):
        return dtype_name(leaf.dtype) != "bool"
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _zero(leaf: Any) -> Any:
    return _filled(leaf, 0) if _is_array(leaf) else type(leaf)()


def _filled(array: Any, number: int) -> Any:
    return array.new_full(array.shape, number) if hasattr(array, "new_full") else np.full_like(array, number)


def _nan_at_end(leaf: Any) -> Any:
    if not _is_array(leaf):
        return leaf * np.nan if _is_float(leaf) else leaf
    if not _is_float(leaf) or 0 in leaf.shape:
        return leaf
    added = _filled(leaf, 0)
    added[(-1,) * leaf.ndim] = np.nan
    return leaf + added


def _off(leaf: Any, factor: float) -> Any:
    if not _is_number(leaf):
        return leaf
    return leaf * factor if _is_float(leaf) else leaf + 1


def _other_dtype(leaf: Any) -> Any:
    if not _is_array(leaf):
        return leaf
    other = "float32" if dtype_name(leaf.dtype) != "float32" else "float64"
    if hasattr(leaf, "detach"):
        return leaf.double() if other == "float64" else leaf.float()
    return leaf.astype(other)


def _rows(leaf: Any, factor: int) -> Any:
    """The first row, and in the others' place `factor`, 0 or 1, times it."""
    if not _is_array(leaf) or not leaf.ndim or len(leaf) < 2:
        return leaf
    rows = [leaf[:1]] + [leaf[:1] if factor else _zero(leaf[:1])] * (len(leaf) - 1)
    if isinstance(leaf, np.ndarray):
        return np.concatenate(rows)
    import torch

    return torch.cat(rows)


# What is remembered instead of computed.


def _calls_remembered(function: Candidate, seen: list[_Seen]) -> Iterator[tuple[str, Candidate]]:
    results: list[Any] = []
    shapes: list[Any] = []

    @functools.wraps(function)
    def first_answer(*args: Any, **kwargs: Any) -> Any:
        if not results:
            results.append(function(*args, **kwargs))
        return results[0]

    @functools.wraps(function)
    def first_shapes(*args: Any, **kwargs: Any) -> Any:
        shapes.append([value.shape for value in (*args, *kwargs.values()) if _is_array(value)])
        result = function(*args, **kwargs)
        return result if shapes[-1] == shapes[0] else _mapped(_zero, result)

    yield "first answer for ever", first_answer
    if any(_is_array(value) for call in seen for value in call.arguments.values()):
        yield "right for the first shapes only", first_shapes


# What is done to the arguments.


def _arguments_spoiled(function: Candidate, seen: list[_Seen]) -> Iterator[tuple[str, Candidate]]:
    names = dict.fromkeys(name for call in seen for name in call.arguments)
    if any(True for call in seen for _ in _leaves(call.result)):
        yield "returns its input", _input_returned(function)
    for name in names:
        yield f"ignores {name}", _ignoring(function, name)
        mutable = any(_is_mutable(call.arguments[name]) for call in seen)
        if mutable and not any(name in call.changed for call in seen):
            yield f"changes {name} in place", _changing(function, name)


def _input_returned(function: Candidate) -> Candidate:
    """For each part of the result, the first argument of its shape, or the first of all."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def cheat(*args: Any, **kwargs: Any) -> Any:
        inputs = list(_bound(signature, args, kwargs).values())

        def stand_in(leaf: Any) -> Any:
            shape = getattr(leaf, "shape", None)
            return next((value for value in inputs if getattr(value, "shape", None) == shape), inputs[0])

        return _mapped(stand_in, function(*args, **kwargs))

    return cheat


def _ignoring(function: Candidate, name: str) -> Candidate:
    """One argument always at its default; without one, at a constant."""
    signature = inspect.signature(function)
    default = signature.parameters[name].default
    first: list[Any] = []

    @functools.wraps(function)
    def cheat(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        first.append(copied(bound.arguments[name]))
        constant = _constant(bound.arguments[name], first[0])
        bound.arguments[name] = constant if default is inspect.Parameter.empty else default
        return function(*bound.args, **bound.kwargs)

    return cheat


def _changing(function: Candidate, name: str) -> Candidate:
    """The right answer, and one argument spoiled."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def cheat(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        _change(_bound(signature, args, kwargs)[name])
        return result

    return cheat


def _is_generator(value: Any) -> bool:
    return type(value).__name__ in ("Generator", "Random", "RandomState")


def _is_mutable(value: Any) -> bool:
    return isinstance(value, list | dict | set | np.ndarray) or (_is_array(value) and not value.requires_grad)


def _constant(value: Any, first: Any) -> Any:
    """What an argument is replaced with: a mask of True, ones, ids of 0, a generator that always draws the
    same; anything else as it was at the first call."""
    if isinstance(value, np.random.Generator):
        return np.random.default_rng(0)
    if _is_generator(value) and hasattr(value, "manual_seed"):
        return type(value)().manual_seed(0)
    if not _is_array(value):
        return copied(first)
    return _filled(value, 1 if dtype_name(value.dtype) == "bool" or _is_float(value) else 0)


def _change(value: Any) -> None:
    """Spoil an argument in place, where that can be done."""
    if _is_array(value):
        with suppress(RuntimeError, ValueError):  # a leaf of a gradient, or memory that is read-only
            value[...] = ~value if dtype_name(value.dtype) == "bool" else value + 1
    elif isinstance(value, dict | list) and any(map(_is_array, _items(value))):
        for item in _items(value):
            _change(item)
    elif isinstance(value, set):
        value.add("spoiled")
    elif isinstance(value, list):
        value.append(value[-1] if value else "spoiled")
    elif isinstance(value, dict):
        value["spoiled"] = "spoiled"


def _items(value: dict[Any, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
