"""What checks are written with: each finds what it is for, lets pass what is right, and says it well."""

import linecache
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lmprep.practice.checks import Call, compact, computed_in, identical, normal, raises, strided
from lmprep.practice.task import CheckFailed


def failed(excinfo: pytest.ExceptionInfo[CheckFailed]) -> tuple[str, str, str]:
    failure = excinfo.value
    return failure.expected, failure.got, failure.cause


# Calling.


def test_inputs_go_by_position_whatever_the_candidate_calls_them() -> None:
    assert Call(lambda a, b: a - b, x=5, y=3).value == 2
    assert Call(lambda *both: both, x=5, y=3).value == (5, 3)
    assert Call(max, x=5, y=3).value == 5


def test_inputs_go_by_name_where_the_candidate_wants_it() -> None:
    def keyword(x: int, *, y: int, z: int = 0) -> int:
        return x - y + z

    assert Call(keyword, x=5, z=1, y=3).value == 3


def test_the_case_shows_each_input() -> None:
    call = Call(lambda q, mask, n: q, q=torch.tensor([[1.0, -0.5]]), mask=torch.tensor([True]), n=3)
    assert call.case == "q = [[1, -0.5]]\nmask = [True]\nn = 3"


def cell(source: str) -> Any:
    """A function as a notebook's cell defines it, its text in the line cache."""
    name = f"<cell {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {}
    exec(compile(source, name, "exec"), namespace)
    return namespace["f"]


@pytest.mark.parametrize(
    ("source", "got", "cause"),
    [
        ("def f(x):\n    y = x + 1\n    return y[5]", "IndexError: index 5 is", "shapes, axes"),
        ("def f(x):\n    return undefined", "NameError: name 'undefined' is", "an import"),
        ("import sys\ndef f(x):\n    sys.exit(1)", "SystemExit: 1 in line 3: `sys.exit(1)`", "return the"),
        ("def f(x):\n    return f(x)", "RecursionError: maximum recursion", "without an end"),
        ("def f(x, y):\n    return x", "TypeError: f() missing 1", "signature"),
        ("def f(x):\n    assert x is None", "AssertionError in line 2: `assert x is None`", "shapes"),
        ("import torch\ndef f(x):\n    return torch.ones(10**15)", "MemoryError: ", "much larger"),
        ("def f(x):\n    raise NotImplementedError", "NotImplementedError in", "still to be written"),
        ("def f(x):\n    raise PermissionError('no')", "PermissionError: no in line 2", "needs none"),
    ],
)  # fmt: skip
def test_a_candidate_that_raises_fails_with_its_line(source: str, got: str, cause: str) -> None:
    with pytest.raises(CheckFailed) as excinfo:
        Call(cell(source), x=torch.zeros(2))
    assert got in failed(excinfo)[1]
    assert cause in failed(excinfo)[2]
    assert excinfo.value.case == "x = [0, 0]"


def test_no_line_of_a_library_is_quoted() -> None:
    with pytest.raises(CheckFailed) as excinfo:
        Call(torch.nn.functional.layer_norm, x=torch.zeros(2), normalized_shape=(3,))
    assert " in line " not in failed(excinfo)[1]


def test_a_candidate_gets_copies() -> None:
    tensor, array, numbers = torch.zeros(2), np.zeros(2), [[1, 2], [3]]

    def spoil(tensor: Tensor, array: np.ndarray, numbers: list[list[int]]) -> None:
        tensor += 1
        array += 1
        numbers[0].append(9)

    Call(spoil, tensor=tensor, array=array, numbers=numbers)
    assert tensor.tolist() == [0, 0] and array.tolist() == [0, 0] and numbers == [[1, 2], [3]]


def test_copies_keep_strides() -> None:
    tensor, array = strided(torch.randn(2, 3, 4)), np.asfortranarray(np.ones((2, 3)))
    seen: list[Any] = []
    Call(lambda *inputs: seen.extend(inputs), tensor=tensor, array=array)
    assert seen[0].stride() == tensor.stride() and not seen[0].is_contiguous()
    assert seen[1].flags.f_contiguous and not seen[1].flags.c_contiguous


def spoil_first(value: Any) -> None:
    value[0] = 9


@pytest.mark.parametrize("value", [torch.zeros(2), np.zeros(2), [1, 2], {0: 1}, strided(torch.zeros(2, 2))])
def test_changed_inputs_are_found(value: Any) -> None:
    Call(lambda value: None, value=value).unchanged()
    with pytest.raises(CheckFailed, match="value as it was"):
        Call(spoil_first, value=value).unchanged()


def test_inputs_nested_in_containers_are_compared() -> None:
    batch = {"ids": [torch.zeros(2), torch.full((2,), torch.nan)]}
    Call(lambda batch: None, batch=batch).unchanged()
    with pytest.raises(CheckFailed):
        Call(lambda batch: spoil_first(batch["ids"][1]), batch=batch).unchanged()


# Types, shapes, dtypes.


def test_returns_hands_out_what_is_right() -> None:
    one = Call(lambda: torch.zeros(2, 3)).returns(torch.float32, out=(2, 3))
    assert one.shape == (2, 3)
    out, w = Call(lambda: [torch.zeros(2), torch.ones(3)]).returns(torch.float32, out=(2,), w=(3,))
    assert out.shape == (2,) and w.shape == (3,)
    assert Call(lambda: np.zeros((2, 1))).returns(np.float64, x=(2, 1)).shape == (2, 1)
    assert Call(lambda: torch.zeros(2, dtype=torch.bool)).returns(torch.bool, mask=(2,)).dtype == torch.bool


@pytest.mark.parametrize(
    ("value", "expected", "got", "cause"),
    [
        (None, "out: a torch.Tensor (2,)", "None", "a missing `return`"),
        (3.5, "out: a torch.Tensor (2,)", "float 3.5", "another type"),
        (np.zeros(2, np.float32), "out: a torch.Tensor (2,)", "numpy.ndarray [0, 0]", "another type"),
        ([1.0, 2.0], "out: a torch.Tensor (2,)", "list [1.0, 2.0]", "another type"),
        (torch.zeros(3), "out of shape (2,)", "shape (3,)", "a missing transpose"),
        (torch.zeros(2, 1), "out of shape (2,)", "shape (2, 1)", "a missing transpose"),
        (torch.zeros(2).double(), "out of dtype float32", "float64", "a mask or constant of another dtype"),
        (torch.zeros(2).long(), "out of dtype float32", "int64", "dtype"),
    ],
)
def test_a_wrong_type_shape_or_dtype_is_told(value: Any, expected: str, got: str, cause: str) -> None:
    with pytest.raises(CheckFailed) as excinfo:
        Call(lambda: value).returns(torch.float32, out=(2,))
    assert failed(excinfo)[:2] == (expected, got)
    assert cause in failed(excinfo)[2]


def test_a_tensor_is_no_array() -> None:
    with pytest.raises(CheckFailed, match="a numpy array"):
        Call(lambda: torch.zeros(2).double()).returns(np.float64, out=(2,))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        (torch.zeros(2), "torch.Tensor"),
        ((torch.zeros(2),), "tuple of length 1"),
        ((torch.zeros(2),) * 3, "tuple of length 3"),
        ("ab", "str"),
    ],
)
def test_too_few_or_too_many_results_are_told(value: Any, got: str) -> None:
    with pytest.raises(CheckFailed) as excinfo:
        Call(lambda: value).returns(torch.float32, out=(2,), w=(2,))
    assert failed(excinfo)[:2] == ("a tuple of 2: (out, w)", got)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), torch.tensor(2.0), torch.tensor([2])])
def test_number_takes_any_number(value: Any) -> None:
    number = Call(lambda: value).number()
    assert number == 2.0 and isinstance(number, float)


@pytest.mark.parametrize("value", [None, True, "2", [2], torch.zeros(2), np.zeros(0), torch.tensor(True)])
def test_number_refuses_the_rest(value: Any) -> None:
    with pytest.raises(CheckFailed, match="one number"):
        Call(lambda: value).number()


# Comparing.

finite = st.floats(-1e6, 1e6)


@given(want=st.lists(finite, min_size=1, max_size=5), share=st.floats(-3, 3), at=st.integers(0, 4))
def test_same_holds_up_to_the_tolerance_and_no_further(want: list[float], share: float, at: int) -> None:
    theirs = np.array(want)
    ours = theirs.copy()
    at %= len(want)
    ours[at] += share * 1e-3 * (1 + abs(theirs[at]))
    difference, allowed = abs(ours[at] - theirs[at]), 1e-3 * (1 + abs(theirs[at]))
    call = Call(lambda: None)
    if difference <= allowed:
        call.same("x", ours, theirs, cause="?", tolerance=1e-3)
    else:
        with pytest.raises(CheckFailed):
            call.same("x", ours, theirs, cause="?", tolerance=1e-3)


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize(("dtype", "step"), [("float64", 1e-8), ("float32", 1e-4), ("float16", 0.05)])
def test_the_tolerance_follows_the_dtype(library: str, dtype: str, step: float) -> None:
    want = np.ones(3, dtype)
    near, far = want + np.array(step / 1000, dtype), want + np.array(step, dtype)
    convert = torch.from_numpy if library == "torch" else lambda array: array
    call = Call(lambda: None)
    call.same("x", convert(near), convert(want), cause="?")
    with pytest.raises(CheckFailed):
        call.same("x", convert(far), convert(want), cause="?")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [([math.nan], [math.nan]), ([math.nan], [1.0]), ([1.0], [math.nan]), ([math.inf], [-math.inf]),
     ([math.inf], [1e30]), ([1.0], [math.inf]), ([1.0, 2.0], [1.0]), ([[1.0]], [1.0])],
)  # fmt: skip
def test_what_is_never_the_same(ours: Any, theirs: Any) -> None:
    with pytest.raises(CheckFailed):
        Call(lambda: None).same("x", np.array(ours), np.array(theirs), cause="?", tolerance=1.0)


def test_what_is_the_same_with_no_tolerance() -> None:
    call = Call(lambda: None)
    for value in (math.inf, -math.inf, 0.0, 1e-30):
        call.same("x", value, value, cause="?", tolerance=0.0)
    call.same("x", torch.tensor([True, False]), [True, False], cause="?")
    call.same("x", torch.zeros(0), np.zeros(0), cause="?")
    call.same("ids", torch.tensor([1, 2]), [1, 2], cause="?")
    with pytest.raises(CheckFailed):
        call.same("ids", torch.tensor([1, 2]), [1, 3], cause="?")
    call.same("x", torch.ones(2, dtype=torch.bfloat16), torch.ones(2), cause="?")


def test_a_small_difference_is_shown_whole_a_large_one_at_its_worst() -> None:
    call = Call(lambda x: None, x=1)
    with pytest.raises(CheckFailed) as excinfo:
        call.same("w", torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0, 0.0]]), cause="because")
    assert failed(excinfo) == ("w = [[1, 0]]", "[[1, 0.5]]", "because")
    ours, theirs = torch.zeros(4, 5), torch.zeros(4, 5)
    ours[1, 2], ours[3, 4] = 0.25, 0.5
    with pytest.raises(CheckFailed) as excinfo:
        call.same("w", ours, theirs, cause="because")
    assert failed(excinfo)[:2] == ("w[3, 4] = 0", "0.5 (2 of 20 values differ)")
    ours[2, 0] = math.nan
    with pytest.raises(CheckFailed) as excinfo:
        call.same("w", ours, theirs, cause="because")
    assert failed(excinfo)[:2] == ("w[2, 0] = 0", "nan (3 of 20 values differ)")


def test_a_difference_beyond_the_shown_digits_shows_more_of_them() -> None:
    with pytest.raises(CheckFailed) as excinfo:
        Call(lambda: None).same("x", np.array([1.0000001]), np.array([1.0]), cause="?")
    assert failed(excinfo)[:2] == ("x[0] = 1", "1.0000001")


def test_equals_and_holds() -> None:
    call = Call(lambda text: None, text="ab")
    call.equals("spans", [("A", 0)], [("A", 0)], cause="?")
    call.holds(torch.tensor(True), expected="?", got="?", cause="?")
    with pytest.raises(CheckFailed) as excinfo:
        call.equals("spans", [("A", 0)], [("A", 1)], cause="off by one")
    assert failed(excinfo) == ("spans = [('A', 1)]", "[('A', 0)]", "off by one")
    with pytest.raises(CheckFailed) as excinfo:
        call.holds(np.bool_(False), expected="a", got="b", cause="c")
    assert failed(excinfo) == ("a", "b", "c")
    assert excinfo.value.case == "text = 'ab'"


# Gradients.


def test_gradients_of_all_results_to_all_leaves() -> None:
    x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor(3.0, requires_grad=True)
    call = Call(lambda x, y, n: (x * y, x**2), x=x, y=y, n=torch.ones(2))
    first, second = call.returns(torch.float32, first=(2,), second=(2,))
    found = call.gradients(first=first, second=second)
    assert {name: gradient.tolist() for name, gradient in found.items()} == {"x": [5, 7], "y": 3}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, y: (x * y).detach(), "z to carry gradients"),
        (lambda x, y: torch.tensor((x * y).tolist()), "z to carry gradients"),
        (lambda x, y: x * y.detach(), "a gradient for y"),
    ],
)
def test_a_cut_gradient_is_told(function: Any, expected: str) -> None:
    call = Call(function, x=torch.ones(2, requires_grad=True), y=torch.ones(2, requires_grad=True))
    with pytest.raises(CheckFailed, match=expected):
        call.gradients(z=call.value)


# Errors that are asked for.


def strict(x: Tensor) -> Tensor:
    if not len(x):
        raise ValueError("x is empty")
    return x


def test_raises_wants_that_error() -> None:
    raises(ValueError, strict, x=torch.zeros(0), cause="?")
    with pytest.raises(CheckFailed) as excinfo:
        raises(ValueError, lambda x: x, x=torch.zeros(0), cause="no check of the length")
    assert failed(excinfo) == ("a ValueError", "[]", "no check of the length")
    with pytest.raises(CheckFailed) as excinfo:
        raises(KeyError, strict, x=torch.zeros(0), cause="?")
    assert "ValueError: x is empty" in failed(excinfo)[1]


# Making inputs, showing values.


def test_normal_draws_from_the_generator() -> None:
    rng = np.random.default_rng(0)
    drawn = normal(rng, 200, 50)
    assert drawn.dtype == torch.float32 and abs(drawn.mean()) < 0.05 and abs(drawn.std() - 1) < 0.05
    assert normal(rng, 2, dtype=torch.bfloat16).dtype == torch.bfloat16
    assert torch.equal(normal(np.random.default_rng(0), 200, 50), drawn)


def test_strided_keeps_the_values_and_nothing_else() -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 4)
    spread = strided(tensor)
    assert torch.equal(spread, tensor) and not spread.is_contiguous()
    for shape in ((6, 4), (2, 12), (24,)):
        with pytest.raises(RuntimeError, match="view size is not compatible"):
            spread.view(shape)


def test_computed_in_another_dtype() -> None:
    seen: list[torch.dtype] = []

    def both(x: Tensor, ids: Tensor, *, scale: Tensor) -> tuple[Tensor, Tensor]:
        seen.extend((x.dtype, ids.dtype, scale.dtype))
        return x * scale, ids

    y, ids = computed_in(torch.float64, both)(torch.ones(2), torch.zeros(2).long(), scale=torch.ones(2))
    assert seen == [torch.float64, torch.int64, torch.float64]
    assert (y.dtype, ids.dtype) == (torch.float32, torch.int64)
    assert computed_in(torch.float64, lambda x: x)(torch.ones(1)).dtype == torch.float32


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (torch.tensor([[1.0, -0.123456]]), "[[1, -0.1235]]"),
        (torch.tensor(2.5), "2.5"),
        (torch.tensor([1.0], dtype=torch.float64), "[1] (float64)"),
        (torch.tensor([1.0], dtype=torch.bfloat16), "[1] (bfloat16)"),
        (torch.tensor([True, False]), "[True, False]"),
        (torch.tensor([3, 4]), "[3, 4]"),
        (torch.zeros(3, 5), "float32 (3, 5), all 0"),
        (torch.arange(20.0), "float32 (20,), values from 0 to 19"),
        (torch.full((13,), torch.nan), "float32 (13,), 13 not finite"),
        (
            torch.cat([torch.arange(20.0), torch.tensor([torch.inf])]),
            "float32 (21,), values from 0 to 19, 1 not finite",
        ),
        (torch.zeros(3, 5, dtype=torch.bool), "bool (3, 5)"),
        (np.arange(20), "int64 (20,), values from 0 to 19"),
        (np.array([1 + 2j]), "[1+2j] (complex128)"),
        (torch.zeros(0, 2), "float32 (0, 2)"),
        (torch.zeros(0), "[]"),
        (0.1 + 0.2, "0.3"),
        ([torch.ones(1), torch.zeros(1)], "list of 2: [1]; [0]"),
        (len, "len"),
        ("a" * 300, "'" + "a" * 116 + "…"),
        (None, "None"),
    ],
)
def test_compact(value: Any, shown: str) -> None:
    assert compact(value) == shown


def test_identical_is_exact_and_knows_nan() -> None:
    nan = torch.tensor([torch.nan, 1.0])
    assert identical(nan, nan.clone()) and identical({"a": [nan]}, {"a": [nan.clone()]})
    assert not identical(nan, nan + 1e-3) and not identical([1], [1, 2]) and not identical({"a": 1}, {"b": 1})
    assert not identical(torch.zeros(2), torch.zeros(2, 1))


def test_checks_need_no_torch() -> None:
    code = "import sys, lmprep.practice.checks as c; c.Call(max, a=1, b=2); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
