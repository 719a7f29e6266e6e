"""The evidence calls hold where they should, fail where they should, and show what they test."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from lmprep import evidence
from lmprep.evidence import EVIDENCE_MIME, AgreementError, ClaimError, agrees, claim

finite = st.floats(-1e9, 1e9)
BOUNDS = {
    "at_least": lambda value, bound: value >= bound,
    "at_most": lambda value, bound: value <= bound,
    "above": lambda value, bound: value > bound,
    "below": lambda value, bound: value < bound,
}


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A running IPython, as in a notebook."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def displayed(shell: InteractiveShell, call: Any) -> dict[str, Any]:
    """The MIME bundle of the one output of `call`."""
    with capture_output() as captured:
        call()
    [output] = captured.outputs
    return output.data


# --- claim -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDS)
@given(value=finite, bound=finite)
def test_a_claim_holds_just_where_its_bound_does(name: str, value: float, bound: float) -> None:
    for measured in (value, bound):  # the second is the edge that tells ≥ from >
        if BOUNDS[name](measured, bound):
            claim("k", "text", measured, **{name: bound})
        else:
            with pytest.raises(ClaimError):
                claim("k", "text", measured, **{name: bound})


def test_all_bounds_must_hold() -> None:
    claim("k", "text", 0.5, above=0, below=1)
    for value in (-0.5, 0.0, 1.0, 1.5):
        with pytest.raises(ClaimError):
            claim("k", "text", value, above=0, below=1)


@pytest.mark.parametrize("bounds", [{"at_least": 0}, {"at_most": 0}, {"above": 0}, {"below": 0}])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, float(np.float32("nan"))])
def test_a_value_that_is_not_finite_never_passes(value: float, bounds: dict[str, float]) -> None:
    with pytest.raises(ClaimError):
        claim("k", "text", value, **bounds)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.5),
        np.array(0.5),
        np.array([0.5]),
        np.array([[0.5]]),
        torch.tensor(0.5),
        torch.tensor([0.5]),
        torch.tensor([[0.5]], requires_grad=True),
        torch.tensor(0.5, dtype=torch.bfloat16),
    ],
    ids=lambda value: f"{type(value).__name__}{getattr(value, 'shape', '')}",
)
def test_every_kind_of_scalar_is_measured(value: Any) -> None:
    claim("k", "text", value, at_least=0.5, at_most=0.5)
    with pytest.raises(ClaimError):
        claim("k", "text", value, above=0.5)


def test_counts_and_truth_values_are_measured() -> None:
    claim("k", "text", 3, at_least=3)
    claim("k", "text", torch.tensor(3), at_least=3)
    claim("k", "text", np.int64(3), at_least=3)
    claim("k", "text", np.True_, at_least=1)
    with pytest.raises(ClaimError):
        claim("k", "text", False, at_least=1)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.0, 2.0]),
        torch.tensor([1.0, 2.0]),
        np.array([]),
        torch.tensor([]),
        [1.0],
        "1",
        None,
        1 + 0j,
    ],
    ids=repr,
)
def test_what_is_no_scalar_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="value") as caught:
        claim("the_key", "text", value, at_least=0)
    assert "the_key" in str(caught.value)


def test_a_claim_without_a_bound_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'k' gives no bound: pass at_least"):
        claim("k", "text", 1.0)


@pytest.mark.parametrize("bound", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_that_cannot_fail_is_refused(name: str, bound: float) -> None:
    with pytest.raises(ValueError, match=name):
        claim("k", "text", 1.0, **{name: bound})


def test_a_broken_claim_names_key_text_value_and_bound() -> None:
    with pytest.raises(ClaimError) as caught:
        claim("gap", "the gap is wide", 0.25, at_least=1.5, unit="nats")
    assert caught.value.key == "gap"
    for part in ("gap", "the gap is wide", "0.25 nats", "≥ 1.5"):
        assert part in str(caught.value)


def test_a_broken_claim_shows_nothing(shell: InteractiveShell) -> None:
    with capture_output() as captured, pytest.raises(ClaimError):
        claim("k", "text", 0.0, above=0)
    assert not captured.outputs
    assert not captured.stdout


# --- what is shown is what is tested -----------------------------------------------------------------------


def test_the_output_carries_the_tested_value(shell: InteractiveShell) -> None:
    data = displayed(
        shell, lambda: claim("k", "it is large", 1234.5678, at_least=1000, unit="bits", thesis=True)
    )
    assert set(data) == {"text/plain", "text/html", EVIDENCE_MIME}
    assert data[EVIDENCE_MIME] == {
        "kind": "claim",
        "key": "k",
        "text": "it is large",
        "value": 1234.5678,
        "bounds": {"at_least": 1000.0},
        "unit": "bits",
        "thesis": True,
    }
    for mime in ("text/plain", "text/html"):
        assert "it is large: " in data[mime]
        assert "1235 bits (≥ 1000)" in data[mime]
        assert "thesis" in data[mime]


def test_an_agreement_carries_its_difference(shell: InteractiveShell) -> None:
    ours, theirs = torch.tensor([1.0, 2.0]), np.array([1.0, 2.5], dtype=np.float32)
    data = displayed(shell, lambda: agrees("the_key", "numpy.add", ours, theirs, atol=1.0))
    assert data[EVIDENCE_MIME] == {
        "kind": "agreement",
        "key": "the_key",
        "reference": "numpy.add",
        "difference": 0.5,
        "atol": 1.0,
        "rtol": 0.0,
        "values": 2,
    }
    for mime in ("text/plain", "text/html"):
        assert "numpy.add" in data[mime]
        assert "5.0e-01 over 2 values (≤ 1e+00)" in data[mime].replace("−", "-")


@pytest.mark.parametrize(
    "call",
    [
        lambda: claim("k", "text", 1e-300, below=1),
        lambda: agrees("k", "r", [math.inf, 1.0], [math.inf, 1.0], atol=0),
    ],
)
def test_records_are_strict_json(shell: InteractiveShell, call: Any) -> None:
    record = displayed(shell, call)[EVIDENCE_MIME]
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_text_is_escaped_in_html_alone(shell: InteractiveShell) -> None:
    data = displayed(shell, lambda: claim("k", "a <b> & c", 1.0, above=0))
    assert "a &lt;b&gt; &amp; c" in data["text/html"]
    assert "<b>" not in data["text/html"]
    assert "a <b> & c" in data["text/plain"]


def test_without_a_notebook_the_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    claim("k", "it is positive", 0.5, above=0)
    agrees("k", "numpy.add", [1.0], [1.0], atol=0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ claim: it is positive: 0.5 (> 0)"
    assert lines[1].startswith("✓ agrees: k with numpy.add: largest difference 0.0e+00 over 1 values")


# --- agrees ------------------------------------------------------------------------------------------------


@given(
    theirs=st.lists(finite, min_size=1, max_size=6),
    shift=st.floats(0, 1e3),
    atol=st.floats(0, 1e3),
    rtol=st.floats(0, 0.5),
)
def test_agreement_is_the_inequality_of_the_docstring(
    theirs: list[float], shift: float, atol: float, rtol: float
) -> None:
    """Worked out here with Python floats, one value at a time."""
    ours = [value + shift for value in theirs]
    if all(abs(a - b) <= atol + rtol * abs(b) for a, b in zip(ours, theirs, strict=True)):
        agrees("k", "r", ours, theirs, atol=atol, rtol=rtol)
    else:
        with pytest.raises(AgreementError):
            agrees("k", "r", ours, theirs, atol=atol, rtol=rtol)


def test_the_relative_part_scales_with_the_reference() -> None:
    agrees("k", "r", [90.0], [100.0], atol=0, rtol=0.1)
    with pytest.raises(AgreementError):
        agrees("k", "r", [100.0], [90.0], atol=0, rtol=0.1)


@pytest.mark.parametrize("position", [0, 3, 5])
def test_one_wrong_value_among_many_is_found(position: int) -> None:
    ours = torch.zeros(2, 3)
    ours.view(-1)[position] = 1e-3
    agrees("k", "r", ours, torch.zeros(2, 3), atol=2e-3)
    with pytest.raises(AgreementError, match=r"largest difference 0\.001, allowed 1e-04"):
        agrees("k", "r", ours, torch.zeros(2, 3), atol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs", "problem"),
    [
        (np.zeros(3), np.zeros((3, 1)), "shapes differ"),
        (np.zeros((1, 3)), np.zeros(3), "shapes differ"),
        (0.0, np.zeros(1), "shapes differ"),
        (np.zeros(3), np.zeros(3, np.float32), "dtypes differ"),
        (torch.zeros(3), np.zeros(3), "dtypes differ"),
        (torch.zeros(3), [0.0, 0.0, 0.0], "dtypes differ"),
        (torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.float16), "dtypes differ"),
        (np.zeros(3, int), np.zeros(3), "dtypes differ"),
        (np.zeros(3, bool), np.zeros(3, int), "dtypes differ"),
        (np.zeros(3, complex), np.zeros(3), "dtypes differ"),
        (np.zeros(0), np.zeros(0), "nothing to compare"),
        (torch.zeros(0, 4), torch.zeros(0, 4), "nothing to compare"),
        ([], [], "nothing to compare"),
        ([math.nan], [math.nan], "NaN"),
        ([0.0, math.nan], [0.0, 0.0], "NaN"),
        ([0.0, 0.0], [0.0, math.nan], "NaN"),
        (torch.tensor([complex(0, math.nan)]), torch.zeros(1, dtype=torch.complex64), "NaN"),
        ([math.inf], [-math.inf], "largest difference inf"),
        ([1e308], [math.inf], "largest difference inf"),
        ([math.inf], [0.0], "largest difference inf"),
        ([True], [False], "largest difference"),
        ([1j], [-1j], "largest difference"),
        ([3, 4], [4, 3], "largest difference"),
    ],
)
def test_what_does_not_agree(ours: Any, theirs: Any, problem: str) -> None:
    with pytest.raises(AgreementError, match=problem) as caught:
        agrees("the_key", "the.reference", ours, theirs, atol=0.5, rtol=0.01)
    assert caught.value.key == "the_key"
    assert "the.reference" in str(caught.value)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (torch.tensor([1.0, math.inf]), np.array([1.0, math.inf], np.float32)),
        (torch.tensor([-math.inf]), torch.tensor([-math.inf])),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (torch.ones(2, dtype=torch.bool), np.ones(2, bool)),
        (torch.ones(2, dtype=torch.complex64), np.ones(2, np.complex64)),
        (torch.arange(3), np.arange(3)),
        (1.5, 1.5),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (np.float64(2.0), 2.0),
    ],
)
def test_what_agrees_exactly(ours: Any, theirs: Any) -> None:
    agrees("k", "r", ours, theirs, atol=0)


def test_unsigned_values_do_not_wrap() -> None:
    with pytest.raises(AgreementError, match="largest difference 1,"):
        agrees("k", "r", np.array([0], np.uint8), np.array([1], np.uint8), atol=0.5)


def test_inputs_are_left_alone() -> None:
    ours, theirs = np.array([1.0, math.inf]), torch.tensor([1.0, math.inf], dtype=torch.float64)
    agrees("k", "r", ours, theirs, atol=0)
    assert ours.tolist() == theirs.tolist() == [1.0, math.inf]


@pytest.mark.parametrize("tolerance", [{"atol": math.inf}, {"atol": math.nan}, {"atol": -1e-9}])
def test_a_tolerance_that_allows_anything_is_refused(tolerance: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="atol"):
        agrees("k", "r", [1.0], [1.0], **tolerance)
    with pytest.raises(ValueError, match="rtol"):
        agrees("k", "r", [1.0], [1.0], atol=0, rtol=tolerance["atol"])


# --- the one place where failures are raised ----------------------------------------------------------------


def test_every_failure_goes_through_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[AssertionError] = []
    monkeypatch.setattr(evidence, "_fail", failures.append)
    claim("low", "text", 0.0, above=1)
    claim("lost", "text", math.nan, above=1)
    agrees("shape", "r", [1.0], [1.0, 2.0], atol=0)
    agrees("empty", "r", [], [], atol=0)
    agrees("value", "r", [1.0], [2.0], atol=0)
    assert [error.key for error in failures] == ["low", "lost", "shape", "empty", "value"]  # type: ignore[attr-defined]
    assert [type(error) for error in failures] == [ClaimError] * 2 + [AgreementError] * 3


def test_a_broken_claim_shows_its_message_and_not_our_code(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        shell.run_cell("from lmprep.evidence import claim\nclaim('small', 'a number', 3, below=1)")
    shown = captured.stdout + captured.stderr
    assert "claim 'small' does not hold: a number: measured 3, wanted < 1" in shown
    assert "# Try" in shown
    assert "evidence.py" not in shown
