"""Evidence: the two calls by which a page proves what it says.

`claim` states a measured inequality, `agrees` compares our result with a trusted library's. Both show
their numbers where they are called, and both raise when they do not hold, so a page whose claims are
false cannot be built. Each call also emits its record under `EVIDENCE_MIME`, from which the Evidence
page is made.
"""

import html
import math
from numbers import Real
from typing import Any

import numpy as np

EVIDENCE_MIME = "application/vnd.lmprep.evidence+json"

_SYMBOLS = {"at_least": "≥", "at_most": "≤", "above": ">", "below": "<"}
_TESTS = {
    "at_least": lambda value, bound: value >= bound,
    "at_most": lambda value, bound: value <= bound,
    "above": lambda value, bound: value > bound,
    "below": lambda value, bound: value < bound,
}


class ClaimError(AssertionError):
    """A claim does not hold. `key` names the claim."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, and not the inside of this module."""
        return [f"{type(self).__name__}: {self}", "A changed value? See the cell that begins with # Try."]


class AgreementError(AssertionError):
    """Our result and the reference's differ. `key` names the comparison."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def claim(
    key: str,
    text: str,
    value: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    unit: str = "",
    thesis: bool = False,
) -> None:
    """Show a measured `value` and raise unless it lies within the given bounds.

    Args:
        key: name of the claim, unique within its notebook.
        text: what is claimed, in words, without the number.
        value: the measured scalar (a number, or a one-element tensor or array).
        at_least, at_most, above, below: finite bounds; one is needed, all that are given must hold.
        unit: of `value`, for display.
        thesis: whether this is the claim the entry stands or falls by; one an entry.

    Raises:
        ClaimError: a bound is broken, or the value is not finite.
        TypeError: no bound is given, or `value` is no real scalar.
        ValueError: a bound is not finite.
    """
    given = {"at_least": at_least, "at_most": at_most, "above": above, "below": below}
    bounds = {name: float(bound) for name, bound in given.items() if bound is not None}
    if not bounds:
        raise TypeError(f"claim {key!r} gives no bound: pass at_least, at_most, above or below")
    for name, bound in bounds.items():
        if not math.isfinite(bound):
            raise ValueError(f"claim {key!r}: {name} must be finite, got {bound}")
    number = _scalar(key, value)
    record = {"kind": "claim", "key": key, "text": text, "value": number, "bounds": bounds, "unit": unit,
              "thesis": thesis}  # fmt: skip
    if not math.isfinite(number) or not all(_TESTS[name](number, bound) for name, bound in bounds.items()):
        shown, wanted = summary(record)
        _fail(ClaimError(key, f"claim {key!r} does not hold: {text}: measured {shown}, wanted {wanted}"))
    _emit("thesis" if thesis else "claim", text, record)


def agrees(key: str, reference: str, ours: Any, theirs: Any, *, atol: float, rtol: float = 0.0) -> None:
    """Show the largest difference between our result and a reference's and raise if it is too large.

    Args:
        key: name of the comparison, unique within its notebook.
        reference: the function compared with, such as "torch.nn.functional.cross_entropy".
        ours, theirs: tensors, arrays, numbers or (nested) lists of numbers, of one shape and dtype.
        atol, rtol: the comparison holds where |ours − theirs| ≤ atol + rtol·|theirs|. Equal infinities agree.

    Raises:
        AgreementError: shapes or dtypes differ, nothing is compared, a NaN is met, or the difference is
            too large.
        ValueError: a tolerance is negative or not finite.
    """
    for name, tolerance in (("atol", atol), ("rtol", rtol)):
        if not 0 <= tolerance < math.inf:
            raise ValueError(f"agrees {key!r}: {name} must be finite and not negative, got {tolerance}")
    a, b = _array(ours), _array(theirs)
    problem = ""
    largest = 0.0
    if a.shape != b.shape:
        problem = f"shapes differ: ours {a.shape}, theirs {b.shape}"
    elif _dtype(ours) != _dtype(theirs):
        problem = f"dtypes differ: ours {_dtype(ours)}, theirs {_dtype(theirs)}"
    elif a.size == 0:
        problem = "nothing to compare: both are empty"
    elif np.isnan(a).any() or np.isnan(b).any():
        problem = "NaN among the values"
    else:
        with np.errstate(invalid="ignore"):  # inf - inf, where both sides are the same infinity
            difference = np.where(a == b, 0.0, np.abs(a - b))
        largest = float(difference.max())
        if not (difference <= atol + rtol * np.abs(np.where(np.isinf(b), 0.0, b))).all():
            problem = f"largest difference {largest:.2g}, allowed {_tolerance(atol, rtol)}"
    if problem:
        _fail(AgreementError(key, f"{key!r} does not agree with {reference}: {problem}"))
    record = {"kind": "agreement", "key": key, "reference": reference, "difference": largest, "atol": atol,
              "rtol": rtol, "values": int(a.size)}  # fmt: skip
    _emit("agrees", f"{key.replace('_', ' ')} with {reference}", record)


def summary(record: dict[str, Any]) -> tuple[str, str]:
    """What a record measured and what is allowed, as readers see it, such as ("0.59", "≥ 0.3")."""
    if record["kind"] == "claim":
        bounds = (f"{_SYMBOLS[name]} {_show(bound)}" for name, bound in record["bounds"].items())
        return f"{_show(record['value'])} {record['unit']}".strip(), " and ".join(bounds)
    difference = f"largest difference {record['difference']:.1e} over {record['values']} values"
    return difference, f"≤ {_tolerance(record['atol'], record['rtol'])}"


def _fail(error: AssertionError) -> None:
    """Raise `error`. One place, so that the sabotage runner can let other claims pass by."""
    raise error


def _scalar(key: str, value: Any) -> float:
    """A number, or the only element of a tensor or an array, as a float."""
    only = value.item() if hasattr(value, "item") and math.prod(value.shape) == 1 else value
    if not isinstance(only, Real):
        raise TypeError(f"claim {key!r}: value must be one real number, got {value!r}")
    return float(only)


def _show(number: float) -> str:
    return f"{number:.4g}".replace("-", "−")


def _tolerance(atol: float, rtol: float) -> str:
    return f"{atol:.0e}" + (f" + {rtol:.0e} relative" if rtol else "")


def _array(values: Any) -> np.ndarray:
    """As a float64 (or complex) array; bfloat16 tensors, which numpy lacks, go through float64."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    array = np.asarray(values)
    return array if np.iscomplexobj(array) else array.astype(np.float64)


def _dtype(values: Any) -> str:
    """`float32` for a torch or a numpy float32 alike; Python numbers and lists as numpy reads them."""
    dtype = values.dtype if hasattr(values, "dtype") else np.asarray(values).dtype
    return str(dtype).removeprefix("torch.")


def _emit(label: str, text: str, record: dict[str, Any]) -> None:
    """Display one line; in a plain Python process, print it."""
    measured, allowed = summary(record)
    shown = f"{measured} ({allowed})"
    plain = f"✓ {label}: {text}: {shown}"
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(plain)
        return
    if get_ipython() is None:
        print(plain)
        return
    shown_as_html = (
        f'<div class="lmprep-evidence lmprep-{label}"><span class="lmprep-mark">✓ {label}</span> '
        f"{html.escape(text, quote=False)}: <strong>{html.escape(shown, quote=False)}</strong></div>"
    )
    display({"text/plain": plain, "text/html": shown_as_html, EVIDENCE_MIME: record}, raw=True)
