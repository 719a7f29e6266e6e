"""What the checks of all tasks are written with: call the candidate, look at its answer, say what is wrong.

A check makes a `Call` and asks things of it. Each of its methods raises `CheckFailed` with the call's inputs
as the case, so a check itself is a few lines long. torch is not imported here: a task without it loads none.
"""

import functools
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lmprep.practice.task import Candidate, CheckFailed

if TYPE_CHECKING:
    import torch

Rng = np.random.Generator

# |got − want| ≤ tolerance · (1 + |want|): a few hundred rounding steps, more in float64, where they cost no
# power. Enough for some matrix products in any order; a task that needs another passes it.
_TOLERANCES = {"float64": 1e-10, "float32": 2e-5, "float16": 1e-2, "bfloat16": 4e-2}
_SIGMAS = 6  # standard errors: a share leaves this range once in 500 million times
_SHOWN = 12  # an array of more values is shown by its shape

# Code that is not the reader's: a failure quotes none of its lines.
_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
    "<frozen",
    "<string>",
)


class Call:
    """One call of a candidate, with copies of `inputs`, and everything that can be said about its answer.

    Inputs go by position, in the order given, or by name where the candidate wants that. The answer as it
    came is in `value`.

    Raises:
        CheckFailed: the candidate raised.
    """

    latest: "Call | None" = None  # for whoever watches: the case that the grading has reached

    def __init__(self, candidate: Candidate, /, **inputs: Any) -> None:
        self.inputs = inputs
        self._passed = {name: copied(value) for name, value in inputs.items()}
        by_name = _keyword_only(candidate)
        positional = [value for name, value in self._passed.items() if name not in by_name]
        named = {name: value for name, value in self._passed.items() if name in by_name}
        Call.latest = self
        try:
            self.value = candidate(*positional, **named)
        except (CheckFailed, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too
            raise CheckFailed("", self.case, "an answer", *_told(error)) from error

    @property
    def case(self) -> str:
        """The inputs, one a line."""
        return (
            "\n".join(f"{name} = {compact(value)}" for name, value in self.inputs.items()) or "no arguments"
        )

    def fail(self, expected: str, got: str, cause: str, *, property: str = "") -> NoReturn:
        """Raise `CheckFailed` for this call."""
        raise CheckFailed(property, self.case, expected, got, cause)

    def holds(self, condition: Any, *, expected: str, got: str, cause: str) -> None:
        """Raise unless `condition`, a bool or a one-element array."""
        if not bool(condition):
            self.fail(expected, got, cause)

    def returns(self, dtype: Any, **shapes: Sequence[int]) -> Any:
        """The answer, if it is a tensor (or, for a numpy dtype, an array) of that shape and dtype.

        With several names: a tuple or list of that many, and a tuple of them is returned.
        """
        values = [self.value] if len(shapes) == 1 else self._parts(", ".join(shapes), len(shapes))
        kind, wanted = _array_type(dtype)
        for (name, shape), value in zip(shapes.items(), values, strict=True):
            if not isinstance(value, kind):
                cause = "a missing `return`" if value is None else "another type than the docstring promises"
                self.fail(f"{name}: {wanted} {tuple(shape)}", _typed(value), cause)
            if tuple(value.shape) != tuple(shape):
                self.fail(f"{name} of shape {tuple(shape)}", f"shape {tuple(value.shape)}",
                          "a missing transpose or reshape, or a sum over the wrong axis")  # fmt: skip
            if value.dtype != dtype:
                self.fail(f"{name} of dtype {dtype_name(dtype)}", dtype_name(value.dtype),
                          "a mask or constant of another dtype, or a dtype spelled out")  # fmt: skip
        return values[0] if len(values) == 1 else tuple(values)

    def number(self) -> float:
        """The answer, if it is one number: of Python, of numpy, or a tensor with one element. Not a bool."""
        value = self.value.item() if getattr(self.value, "shape", None) in ((), (1,)) else self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail("one number", _typed(self.value), "a missing `return`, or a missing sum or mean")
        return float(value)

    def same(self, name: str, got: Any, want: Any, *, cause: str, tolerance: float | None = None) -> None:
        """Raise unless |got − want| ≤ tolerance · (1 + |want|) everywhere; equal infinities agree, NaN never.

        Args:
            name: what is compared, as the reader knows it.
            got, want: tensors, arrays or numbers of one shape.
            cause: what usually makes them differ.
            tolerance: by the dtype of `got` when None.
        """
        if tolerance is None:
            tolerance = _TOLERANCES.get(dtype_name(getattr(got, "dtype", "float64")), 0.0)
        ours, theirs = as_array(got), as_array(want)
        if ours.shape != theirs.shape:
            self.fail(f"{name} of shape {theirs.shape}", f"shape {ours.shape}", cause)
        with np.errstate(invalid="ignore"):
            differences = np.where(ours == theirs, 0.0, np.abs(ours - theirs))
            allowed = tolerance * (1 + np.where(np.isinf(theirs), 0.0, np.abs(theirs)))
            wrong = ~(differences <= allowed)  # a NaN is no ≤ of anything
        if wrong.any():
            self.fail(
                *_compared(name, ours, theirs, wrong, np.where(np.isnan(differences), np.inf, differences)),
                cause,
            )

    def rate(self, name: str, hits: "torch.Tensor", p: float, cause: str) -> None:
        """Raise unless about the share p of `hits`, independent of one another, is True."""
        share, n = hits.double().mean().item(), max(hits.numel(), 1)
        allowed = _SIGMAS * (p * (1 - p) / n) ** 0.5
        self.holds(abs(share - p) <= allowed, expected=f"{name} = {p:.4g} ± {allowed:.2g}",
                   got=f"{share:.4g}", cause=cause)  # fmt: skip

    def equals(self, name: str, got: Any, want: Any, *, cause: str) -> None:
        """Raise unless plain Python values (text, whole numbers, lists …) are equal."""
        if got != want:
            self.fail(f"{name} = {compact(want)}", compact(got), cause)

    def unchanged(
        self, *, cause: str = "an in-place operation (`+=`, `x[...] = `, a method ending in `_`)"
    ) -> None:
        """Raise if the candidate changed what it was given."""
        for name, before in self.inputs.items():
            after = self._passed[name]
            if not identical(before, after):
                self.fail(f"{name} as it was", f"{name} = {compact(after)} afterwards", cause)

    def gradients(self, **results: "torch.Tensor") -> dict[str, "torch.Tensor"]:
        """Gradients of the sum of all `results` with respect to each input that requires one.

        Raises:
            CheckFailed: a result is cut off from an input.
        """
        import torch

        cause = "`.detach()`, `.data`, `.item()`, `torch.no_grad()`, or a tensor built anew from numbers"
        leaves = {
            name: value for name, value in self._passed.items() if getattr(value, "requires_grad", False)
        }
        for name, result in results.items():
            if not result.requires_grad:
                self.fail(f"{name} to carry gradients", "a result cut off from autograd", cause)
        sums = [result.sum() for result in results.values()]
        found = torch.autograd.grad(sums, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(leaves, found, strict=True):
            if gradient is None:
                self.fail(f"a gradient for {name}", "none", cause)
        return dict(zip(leaves, found, strict=True))

    def _parts(self, names: str, count: int) -> Sequence[Any]:
        if not isinstance(self.value, tuple | list) or len(self.value) != count:
            length = f" of length {len(self.value)}" if isinstance(self.value, tuple | list) else ""
            cause = "a missing `return`" if self.value is None else "a result left out of the `return`"
            self.fail(f"a tuple of {count}: ({names})", f"{_type(self.value)}{length}", cause)
        return self.value


def raises(error: type[Exception], candidate: Candidate, /, *, cause: str, **inputs: Any) -> None:
    """Raise `CheckFailed` unless the candidate raises `error` for these inputs."""
    try:
        call = Call(candidate, **inputs)
    except CheckFailed as failure:
        if isinstance(failure.__cause__, error):
            return
        raise CheckFailed("", failure.case, f"a {error.__name__}", failure.got, cause) from failure
    call.fail(f"a {error.__name__}", compact(call.value), cause)


def normal(rng: Rng, *shape: int, dtype: "torch.dtype | None" = None) -> "torch.Tensor":
    """A tensor of standard normal numbers, float32 unless `dtype` says otherwise."""
    import torch

    return torch.from_numpy(rng.standard_normal(shape)).to(dtype or torch.float32)


def strided(tensor: "torch.Tensor") -> "torch.Tensor":
    """The same values, last axis outermost in memory: not contiguous, so `.view` cannot merge axes."""
    axes = tuple(reversed(range(tensor.ndim)))
    return tensor.permute(axes).contiguous().permute(axes)


def computed_in(dtype: "torch.dtype", answer: Candidate) -> Candidate:
    """`answer` with its floating tensors in `dtype` inside, and its results in the first tensor's own."""
    import torch

    def cast(value: Any, dtype: "torch.dtype") -> Any:
        return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    @functools.wraps(answer)
    def inside(*args: Any, **kwargs: Any) -> Any:
        named = {name: cast(value, dtype) for name, value in kwargs.items()}
        result = answer(*(cast(value, dtype) for value in args), **named)
        own = next(value.dtype for value in args if isinstance(value, torch.Tensor))
        if isinstance(result, tuple):
            return tuple(cast(part, own) for part in result)
        return cast(result, own)

    return inside


def compact(value: Any) -> str:
    """A value in a few words: small arrays with their numbers, large ones with shape and range."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _compact_array(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and any(hasattr(item, "shape") for item in value):
        return f"{type(value).__name__} of {len(value)}: " + "; ".join(map(compact, value[:4]))
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


def as_array(value: Any) -> np.ndarray:
    """A tensor, array or number as float64 (complex stays complex)."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double().numpy() if value.is_floating_point() else value.numpy()
    array = np.asarray(value)
    return array if np.iscomplexobj(array) else array.astype(np.float64)


def dtype_name(dtype: Any) -> str:
    """`float32` for torch's and numpy's alike."""
    return str(np.dtype(dtype) if isinstance(dtype, type) else dtype).removeprefix("torch.")


def _compact_array(value: Any) -> str:
    shape, dtype = tuple(value.shape), dtype_name(value.dtype)
    array = as_array(value)
    if array.size <= _SHOWN and (array.size or array.ndim < 2):  # of an empty table the shape says more
        if dtype == "bool" or "int" in dtype:
            return f"{array.astype(bool if dtype == 'bool' else int).tolist()}"
        suffix = "" if dtype == "float32" else f" ({dtype})"
        return _numbers(array.tolist()) + suffix
    return f"{dtype} {shape}{'' if dtype == 'bool' else _range(array)}"


def _range(array: np.ndarray) -> str:
    finite = array.real[np.isfinite(array)]
    odd = f", {array.size - finite.size} not finite" if finite.size < array.size else ""
    if not finite.size:
        return odd
    low, high = f"{finite.min():.3g}", f"{finite.max():.3g}"
    return (f", all {low}" if low == high else f", values from {low} to {high}") + odd


def _numbers(nested: Any) -> str:
    if isinstance(nested, list):
        return "[" + ", ".join(map(_numbers, nested)) + "]"
    return f"{nested:.4g}"


def _compared(
    name: str, ours: np.ndarray, theirs: np.ndarray, wrong: np.ndarray, differences: np.ndarray
) -> tuple[str, str]:
    """What was expected and what came: the whole where it is small, else the worst place."""
    if theirs.size <= _SHOWN:
        expected, got = _numbers(theirs.tolist()), _numbers(ours.tolist())
        if expected != got:
            return f"{name} = {expected}", got
    worst = np.unravel_index(int(np.where(wrong, differences, -1.0).argmax()), wrong.shape)
    place = f"{name}[{', '.join(map(str, worst))}]" if worst else name
    count = f" ({int(wrong.sum())} of {wrong.size} values differ)" if wrong.size > 1 else ""
    return f"{place} = {theirs[worst]:.8g}", f"{ours[worst]:.8g}{count}"


def _told(error: BaseException) -> tuple[str, str]:
    """What a candidate raised, with the line, and what usually causes it."""
    name, text = type(error).__name__, " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is the call above
    if not frames and isinstance(error, TypeError):
        return f"{name}: {text}", "a signature that is not the starter's"
    if "allocate memory" in text:  # torch raises a RuntimeError
        name = "MemoryError"
    cause = {
        "SystemExit": "a call of `exit`, `quit` or `sys.exit`: return the answer instead",
        "RecursionError": "a recursion without an end",
        "MemoryError": "an array much larger than the answer needs",
        "NameError": "a name that is not defined in the cell: an import or another function is missing",
        "NotImplementedError": "a part that is still to be written",
        "PermissionError": "a process started or ended, or a file opened: the answer needs none of it",
    }.get(name, "shapes, axes or dtypes that do not fit together for these inputs: print them line by line")
    return f"{name}: {text[:300]}".removesuffix(": ") + own_line(frames), cause


def own_line(frames: Sequence[traceback.FrameSummary]) -> str:
    """The innermost line that is the reader's, such as " in line 3: `w = q @ k`"; "" if it is not known."""
    own = [frame for frame in frames if frame.line and not frame.filename.startswith(_LIBRARIES)]
    return f" in line {own[-1].lineno}: `{own[-1].line}`" if own else ""


@functools.lru_cache(maxsize=64)  # reading a signature takes as long as many a candidate
def _keyword_only(candidate: Candidate) -> set[str]:
    try:
        parameters = inspect.signature(candidate).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature
        return set()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def copied(value: Any) -> Any:
    """A copy that the candidate may spoil. Leaves of a gradient (torch guards them), functions and other
    objects go as they are."""
    if hasattr(value, "requires_grad") and hasattr(value, "clone"):
        return value if value.requires_grad else value.clone()  # strides too
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(map(copied, value))
    return value


def identical(before: Any, after: Any) -> bool:
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(identical(before[key], after[key]) for key in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(identical, before, after))
    if hasattr(before, "shape"):
        return before.shape == after.shape and np.array_equal(
            as_array(before), as_array(after), equal_nan=True
        )
    return before is after or bool(before == after)


def _array_type(dtype: Any) -> tuple[Any, str]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(dtype, torch.dtype):
        return torch.Tensor, "a torch.Tensor"
    return np.ndarray, "a numpy array"


def _typed(value: Any) -> str:
    return "None" if value is None else f"{_type(value)} {compact(value)}"


def _type(value: Any) -> str:
    return (
        "None"
        if value is None
        else f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    )
