"""The cheats: what they do to a reference, and which of them a task gets."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lmprep.practice import Task, evasions
from lmprep.practice.checks import Call, Rng
from lmprep.practice.grading import run_checks
from lmprep.practice.task import Candidate, Check


def task_of(reference: Candidate, *checks: Check, statement: str = "Write it.") -> Task:
    name = reference.__name__
    return Task(
        name=name,
        entry=None,
        statement=statement,
        starter=f"class {name}: ..." if isinstance(reference, type) else f"def {name}(): ...",
        reference=reference,
        hints=("One.", "Two.", "Three."),
        checks=checks,
        wrong=dict.fromkeys("abc", reference),
        also_right=dict.fromkeys("ab", reference),
        asked=0,
    )


def survivors(task: Task) -> list[str]:
    return [name for name, cheat in evasions(task).items() if all(r.passed for r in run_checks(task, cheat))]


# A numpy function of an array, a flag and a generator.


def dropout(x: np.ndarray, p: float, training: bool, rng: Rng) -> np.ndarray:
    if not training or p == 0:
        return x.copy()
    return np.where(rng.random(x.shape) < p, 0.0, x / (1 - p))


def dropout_values(candidate: Candidate, rng: Rng) -> None:
    """Kept values are x / (1 − p), in the same places for the same generator state, p of them zero."""
    for rows, p, training in ((40, 0.0, True), (40, 0.2, True), (50, 0.5, True), (50, 0.5, False)):
        x = rng.uniform(1, 2, size=(rows, 60))
        drawn = []
        for seed in (1, 1, 2):
            call = Call(candidate, x=x, p=p, training=training, rng=np.random.default_rng(seed))
            y = call.returns(np.float64, y=x.shape)
            dropped = p if training else 0.0
            zeros = y == 0
            call.same("y where kept", y[~zeros], x[~zeros] / (1 - dropped), cause="no rescaling")
            call.same("share of zeros", zeros.mean(), dropped, tolerance=0.05, cause="another p")
            call.same("share of zeros in the last row", zeros[-1].mean(), dropped, tolerance=0.3, cause="?")
            call.unchanged()
            drawn.append(zeros)
        call.holds(
            np.array_equal(drawn[0], drawn[1]), expected="the same", got="another", cause="own generator"
        )
        if dropped:
            call.holds(
                (drawn[0] != drawn[2]).any(), expected="another", got="the same", cause="fixed generator"
            )


def test_numpy_task_with_a_generator_rejects_every_cheat() -> None:
    task = task_of(dropout, dropout_values)
    assert survivors(task) == []
    assert {"ignores x", "ignores p", "ignores training", "ignores rng", "changes x in place"} <= set(
        evasions(task)
    )


def test_chance_is_not_asked_to_hit_one_per_cent() -> None:
    names = set(evasions(task_of(dropout, dropout_values)))
    assert "half as much again" in names and "one per cent off" not in names


def test_numpy_task_gets_no_torch_cheats() -> None:
    assert "cut off from autograd" not in evasions(task_of(dropout, dropout_values))


# A function that changes its argument: that is its work.


def reservoir_add(buffer: list[int], item: int, seen: int, size: int, rng: Rng) -> None:
    if len(buffer) < size:
        buffer.append(item)
    elif (slot := int(rng.integers(seen + 1))) < size:
        buffer[slot] = item


def reservoir_uniform(candidate: Candidate, rng: Rng) -> None:
    """Every item stays with the same chance."""
    for size, items in ((0, 2), (1, 3), (2, 4)):
        kept = np.zeros(items)
        for _ in range(300):
            buffer: list[int] = []
            for item in range(items):
                candidate(buffer, item, item, size, rng)
            call = Call(lambda: buffer)  # noqa: B023 — called at once
            call.equals("length", len(buffer), min(size, items), cause="?")
            kept[buffer] += 1
        call.same("share kept", kept / 300, np.full(items, size / items), tolerance=0.1, cause="?")


def test_in_place_task_is_not_asked_to_leave_its_argument_alone() -> None:
    task = task_of(reservoir_add, reservoir_uniform)
    assert "changes buffer in place" not in evasions(task)
    assert {"returns nothing", "ignores item", "ignores seen", "ignores size"} <= set(evasions(task))


def test_in_place_task_rejects_every_cheat() -> None:
    assert survivors(task_of(reservoir_add, reservoir_uniform)) == []


# A class.


class LowRank(nn.Module):
    def __init__(self, width: int, rank: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(rank, width))
        self.b = nn.Parameter(torch.zeros(width, rank))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x @ self.a.T @ self.b.T


def low_rank_values(candidate: Candidate, rng: Rng) -> None:
    """Is α / rank · x Aᵀ Bᵀ for any A and B."""
    for width, rank, alpha in ((2, 1, 1.0), (3, 2, 4.0)):
        module = Call(candidate, width=width, rank=rank, alpha=alpha).value
        for parameter in module.parameters():
            parameter.data = torch.from_numpy(rng.standard_normal(parameter.shape)).float()
        x = torch.from_numpy(rng.standard_normal((4, width))).float()
        call = Call(module, x=x)
        y = call.returns(torch.float32, y=x.shape)
        call.same("y", y, alpha / rank * x @ module.a.T @ module.b.T, cause="?")
        call.unchanged()
        call.holds(y.requires_grad, expected="gradients", got="none", cause="?")


def test_class_task_rejects_every_cheat() -> None:
    task = task_of(LowRank, low_rank_values)
    cheats = evasions(task)
    assert survivors(task) == []
    assert {"__init__: ignores rank", "__init__: ignores alpha", "forward: zeros", "forward: ignores x",
            "forward: changes x in place", "forward: cut off from autograd"} <= set(cheats)  # fmt: skip
    assert all(isinstance(cheat, type) and issubclass(cheat, LowRank) for cheat in cheats.values())
    assert "__init__: zeros" not in cheats


# Text, and results of several parts.


def spans(tags: list[str]) -> tuple[list[str], int]:
    kinds = [tag[2:] for tag in tags if tag.startswith("B-")]
    return kinds, len(kinds)


def spans_exact(candidate: Candidate, rng: Rng) -> None:
    """Types and number of the spans."""
    for tags, kinds in (([], []), (["B-A"], ["A"]), (["B-A", "O", "B-C"], ["A", "C"])):
        call = Call(candidate, tags=tags)
        call.equals("spans", call.value, (kinds, len(kinds)), cause="?")
        call.unchanged()


def test_text_task_rejects_every_cheat() -> None:
    task = task_of(spans, spans_exact)
    assert survivors(task) == []
    assert {"zeros for result 1 of 2", "zeros for result 2 of 2", "changes tags in place"} <= set(
        evasions(task)
    )


# What the cheats do.


def double(x: Tensor, factor: float = 2.0) -> Tensor:
    return x * factor


def look(candidate: Candidate, rng: Rng) -> None:
    """Calls it, and looks at nothing."""
    for rows in (1, 3):
        Call(candidate, x=torch.ones(rows, 2) * torch.arange(1, rows + 1)[:, None], factor=3.0)
    Call(candidate, x=torch.ones(1, 2, requires_grad=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("returns nothing", None),
        ("zeros", [[0, 0], [0, 0]]),
        ("NaN at the end", [[3, 3], [6, np.nan]]),
        ("one per cent off", [[3.03, 3.03], [6.06, 6.06]]),
        ("half as much again", [[4.5, 4.5], [9, 9]]),
        ("another dtype", [[3, 3], [6, 6]]),
        ("first row, then zeros", [[3, 3], [0, 0]]),
        ("right for a batch of one only", [[3, 3], [3, 3]]),
        ("cut off from autograd", [[3, 3], [6, 6]]),
        ("returns its input", [[1, 1], [2, 2]]),
        ("ignores x", [[3, 3], [3, 3]]),
        ("ignores factor", [[2, 2], [4, 4]]),
        ("changes x in place", [[3, 3], [6, 6]]),
    ],
)
def test_cheat_does_what_its_name_says(name: str, expected: Any) -> None:
    x = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    answer = evasions(task_of(double, look))[name](x, 3.0)
    if expected is None:
        assert answer is None
        return
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-6)
    assert (answer.dtype == torch.float64) == (name == "another dtype")
    assert (x[0, 0].item() == 2.0) == (name == "changes x in place")


def test_cheats_that_remember() -> None:
    cheats = evasions(task_of(double, look))
    ones, longer = torch.ones(1, 2), torch.ones(3, 2)
    forever, shapes = cheats["first answer for ever"], cheats["right for the first shapes only"]
    assert forever(ones).tolist() == [[2, 2]] and forever(5 * ones).tolist() == [[2, 2]]
    assert shapes(ones).tolist() == [[2, 2]] and shapes(5 * ones).tolist() == [[10, 10]]
    assert shapes(longer).tolist() == [[0, 0]] * 3
    again = evasions(task_of(double, look))["first answer for ever"]
    assert again(5 * ones).tolist() == [[10, 10]]


def test_cheats_keep_the_gradient_unless_that_is_the_cheat() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    for name, cheat in evasions(task_of(double, look)).items():
        if name in (
            "right for a batch of one only",
            "first row, then zeros",
            "NaN at the end",
            "half as much again",
        ):
            assert cheat(x).requires_grad, name
    assert not evasions(task_of(double, look))["cut off from autograd"](x).requires_grad


def test_a_statement_that_asks_for_gradients_gets_the_autograd_cheat() -> None:
    def look_without(candidate: Candidate, rng: Rng) -> None:
        """Looks at no gradient."""
        Call(candidate, x=torch.ones(2, 2))

    task = task_of(double, look_without)
    assert "cut off from autograd" not in evasions(task)
    assert "cut off from autograd" in evasions(replace(task, statement="Gradients must flow to `x`."))
