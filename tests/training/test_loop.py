"""The loop against loops written out by hand in torch, bit for bit, and each of its options alone."""

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from lmprep.training.loop import fit

Pair = tuple[Tensor, Tensor]


class Network(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(3, 8)
        self.head = nn.Linear(8, 2)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.body(x).tanh(), self.dropout, self.training))


def pairs(count: int, scale: float = 1.0) -> list[Pair]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            scale * torch.randn(5, 3, generator=generator),
            torch.randint(2, (5,), generator=generator),
        )
        for _ in range(count)
    ]


def cross_entropy(model: nn.Module, batch: Pair) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, a), (_, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert a.equal(b), name


def gradient_norm(model: nn.Module) -> float:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm().item()


class Point(nn.Module):
    """One weight; its loss under `slope` is a straight line, so every update can be worked out by hand."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def slope(model: Point, gradient: float) -> Tensor:
    return gradient * model.weight


# --- reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [None, 0.85])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_equals_a_hand_written_loop_bit_for_bit(
    optimizer: Callable[..., torch.optim.Optimizer], max_norm: float | None
) -> None:
    data = pairs(30, scale=3.0)

    theirs = Network(dropout=0.3)
    their_optimizer = optimizer(theirs.parameters(), lr=0.1)
    their_schedule = LambdaLR(their_optimizer, lambda step: 0.5 / (step + 1))
    their_losses, their_norms, their_rates, their_weights = [], [], [], []
    theirs.train()
    torch.manual_seed(2)
    for batch in data:
        value = cross_entropy(theirs, batch)
        their_optimizer.zero_grad()
        value.backward()
        norm = gradient_norm(theirs)
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
        their_rates.append(their_optimizer.param_groups[0]["lr"])
        their_optimizer.step()
        their_schedule.step()
        their_losses.append(value.item())
        their_norms.append(norm)
        their_weights.append(theirs.body.weight.detach().clone())

    ours = Network(dropout=0.3)
    our_weights = []

    def remember_weights(model: Network) -> float:
        our_weights.append(model.body.weight.clone())
        return 0.0

    our_optimizer = optimizer(ours.parameters(), lr=0.1)
    torch.manual_seed(2)
    history = fit(
        ours,
        data,
        cross_entropy,
        optimizer=our_optimizer,
        num_steps=30,
        schedule=lambda step: 0.5 / (step + 1),
        max_norm=max_norm,
        evaluate=remember_weights,
        eval_every=1,
    )
    assert torch.stack(our_weights).equal(torch.stack(their_weights))
    assert_same_weights(ours, theirs)
    assert [record.step for record in history.records] == list(range(30))
    assert [record.train_loss for record in history.records] == their_losses
    assert [record.learning_rate for record in history.records] == their_rates
    assert [record.gradient_norm for record in history.records] == pytest.approx(their_norms, rel=1e-6)
    if max_norm is not None:  # clipping had work to do, and not always
        assert min(their_norms) < max_norm < max(their_norms)


def test_a_loader_and_a_function_of_the_step_give_the_same_run() -> None:
    inputs = torch.randn(10, 3, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(10) % 2
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=4)  # batches of 4, 4 and 2
    by_loader, by_step = Network(), Network()

    def batch_of(step: int) -> Pair:
        rows = slice(4 * (step % 3), 4 * (step % 3) + 4)
        return inputs[rows], labels[rows]

    for model, batches in ((by_loader, loader), (by_step, batch_of)):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        fit(model, batches, cross_entropy, optimizer=optimizer, num_steps=8)  # 2 epochs and 2 batches
    assert_same_weights(by_loader, by_step)
    assert not by_loader.body.weight.equal(Network().body.weight)


# --- batches ---------------------------------------------------------------------------------------------


def test_each_step_takes_one_batch_and_an_iterable_starts_again() -> None:
    seen: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[Point, int], Tensor]:
        def loss(model: Point, batch: int) -> Tensor:
            seen.append((name, batch))
            return model.weight**2

        return loss

    class Epochs:
        started = 0

        def __iter__(self) -> Iterator[int]:
            self.started += 1
            yield from (10 * self.started + k for k in range(3))

    model = Point(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    epochs = Epochs()
    fit(model, epochs, note("iterable"), optimizer=optimizer, num_steps=6)
    assert epochs.started == 2  # a third pass is not begun before it is needed
    fit(model, lambda step: 100 + step, note("function"), optimizer=optimizer, num_steps=2)
    assert seen == [("iterable", k) for k in (10, 11, 12, 20, 21, 22)] + [
        ("function", 100),
        ("function", 101),
    ]


@pytest.mark.parametrize("batches", [[], iter([1.0, 1.0, 1.0])])
def test_batches_that_run_out_are_an_error(batches: Any) -> None:
    model = Point()
    with pytest.raises(ValueError, match="batches ran out"):
        fit(model, batches, slope, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), num_steps=4)


# --- schedule and clipping -------------------------------------------------------------------------------


def test_schedule_multiplies_every_group_from_step_0_and_the_rates_come_back() -> None:
    first, second = Point(), Point()
    both = nn.ModuleList([first, second])
    groups: list[dict[str, Any]] = [
        {"params": first.parameters()},
        {"params": second.parameters(), "lr": 10.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    factors = [0.0, 0.5, 1.0, 0.25]
    path = []
    history = fit(
        both,
        [1.0],
        lambda model, gradient: -gradient * (first.weight + second.weight),
        optimizer=optimizer,
        num_steps=4,
        schedule=lambda step: factors[step],
        evaluate=lambda model: path.append((first.weight.item(), second.weight.item())) or 0.0,  # type: ignore[func-returns-value]
        eval_every=1,
    )
    # Gradient −1: each update adds the rate. Step 0 runs at factors[0], not at the full rate.
    assert path == [(0.0, 0.0), (0.5, 5.0), (1.5, 15.0), (1.75, 17.5)]
    assert [record.learning_rate for record in history.records] == factors
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 10.0]


def test_the_rates_come_back_after_an_interruption() -> None:
    model = Point()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def interrupted(step: int) -> float:
        if step == 2:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        fit(model, interrupted, slope, optimizer=optimizer, num_steps=5, schedule=lambda step: 0.1)
    assert optimizer.param_groups[0]["lr"] == 1.0
    assert model.weight.item() == pytest.approx(-0.2)
    assert not model.training


@settings(max_examples=40, deadline=None)
@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0.01, 200))
def test_clipping_scales_the_global_norm_down_to_max_norm(a: float, b: float, max_norm: float) -> None:
    first, second = Point(), Point()
    both = nn.ModuleList([first, second])
    history = fit(
        both,
        [(a, b)],
        lambda model, slopes: slopes[0] * first.weight + slopes[1] * second.weight,
        optimizer=torch.optim.SGD(both.parameters(), lr=1.0),
        num_steps=1,
        max_norm=max_norm,
    )
    norm = math.hypot(a, b)
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    assert history.records[0].gradient_norm == pytest.approx(norm)
    # torch adds 1e-6 to the norm it divides by.
    assert first.weight.item() == pytest.approx(-a * scale, rel=1e-3, abs=1e-9)
    assert second.weight.item() == pytest.approx(-b * scale, rel=1e-3, abs=1e-9)


def test_parameters_outside_the_optimizer_neither_move_nor_count_in_the_norm() -> None:
    model = Network()
    head = model.head
    before = model.body.weight.clone()
    batch = pairs(1)[0]
    (cross_entropy(model, batch)).backward()
    head_norm = gradient_norm(head)
    history = fit(
        model, [batch], cross_entropy, optimizer=torch.optim.SGD(head.parameters(), lr=0.1), num_steps=1
    )
    assert model.body.weight.equal(before)
    assert history.records[0].gradient_norm == pytest.approx(head_norm)


# --- evaluation, early stopping, modes --------------------------------------------------------------------


def test_history_holds_each_evaluation_at_the_update_after_which_it_was_made() -> None:
    model = Point()
    history = fit(
        model,
        [-1.0],
        slope,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        num_steps=7,
        evaluate=lambda model: (model.weight.item() - 4) ** 2,
        eval_every=3,
    )
    # The weight is k after k updates; evaluations after 3, 6 and, because it is the last, 7.
    evaluations = {r.step: r.eval_loss for r in history.records if r.eval_loss is not None}
    assert evaluations == {2: 1.0, 5: 4.0, 6: 9.0}
    assert [record.train_loss for record in history.records] == [-k for k in range(7)]
    assert history.best_step == 2
    assert not history.stopped_early
    assert model.weight.item() == 7  # without patience the last weights stay


@pytest.mark.parametrize(
    ("losses", "patience", "updates", "best_step"),
    [
        ([5, 4, 3, 3.5, 3.2, 9, 9], 2, 5, 2),  # two in a row not better than 3
        ([5, 4, 4.5, 3, 4, 4, 4], 2, 6, 3),  # an improvement starts the count again
        ([5, 5, 5, 5, 5, 5, 5], 3, 4, 0),  # equal is not better
        ([1, 2, 3, 4, 5, 6, 7], 1, 2, 0),
        ([7, 6, 5, 4, 3, 2, 1], 1, 7, 6),  # always better: runs to its end
        ([7, 6, 5, 4, 3, 8, 8], 3, 7, 4),  # the run ends first, and the best weights come back all the same
        ([7, 6, 5, 4, 3, 8, 8], 2, 7, 4),  # patience runs out at the last step
    ],
)
def test_early_stopping_restores_the_best_weights(
    losses: list[float], patience: int, updates: int, best_step: int
) -> None:
    model = Point()
    remaining = iter(losses)
    history = fit(
        model,
        [-1.0],
        slope,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        num_steps=len(losses),
        evaluate=lambda model: next(remaining),
        eval_every=1,
        patience=patience,
    )
    assert [record.eval_loss for record in history.records] == losses[:updates]
    assert history.stopped_early == (updates < len(losses))
    assert history.best_step == best_step
    assert model.weight.item() == best_step + 1


def test_best_weights_include_buffers() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    remaining = iter([1.0, 2.0])
    fit(
        model,
        pairs(2),
        cross_entropy,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        num_steps=2,
        evaluate=lambda model: next(remaining),
        eval_every=1,
        patience=5,
    )
    assert model[0].num_batches_tracked == 1


def test_trains_in_train_mode_evaluates_in_eval_mode_without_gradients_and_ends_in_eval_mode() -> None:
    model = Network(dropout=0.5).eval()
    modes: list[str] = []

    def loss(model: nn.Module, batch: Pair) -> Tensor:
        modes.append(f"train {model.training} {torch.is_grad_enabled()}")
        return cross_entropy(model, batch)

    def evaluate(model: nn.Module) -> Tensor:
        modes.append(f"eval {not model.training} {not torch.is_grad_enabled()}")
        return cross_entropy(model, pairs(1)[0])  # a one-element tensor will do

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(
        model,
        pairs(3),
        loss,
        optimizer=optimizer,
        num_steps=3,
        evaluate=evaluate,  # type: ignore[arg-type]
        eval_every=2,
    )
    train, evaluation = "train True True", "eval True True"
    assert modes == [train, train, evaluation, train, evaluation]
    assert not model.training


# --- progress --------------------------------------------------------------------------------------------


def run_with_a_clock(monkeypatch: pytest.MonkeyPatch, seconds_per_step: float, progress: bool | None) -> None:
    clock = iter(seconds_per_step * k for k in range(1000))
    monkeypatch.setattr("lmprep.training.loop.time", SimpleNamespace(monotonic=lambda: next(clock)))
    model = Point(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(model, [1.0], slope, optimizer=optimizer, num_steps=10, progress=progress)


def test_progress_is_silent_off_a_terminal_and_for_short_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run_with_a_clock(monkeypatch, 10.0, progress=None)
    run_with_a_clock(monkeypatch, 10.0, progress=False)
    run_with_a_clock(monkeypatch, 0.01, progress=True)
    assert capfd.readouterr() == ("", "")


def test_progress_rewrites_one_line_of_standard_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run_with_a_clock(monkeypatch, 10.0, progress=True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    run_with_a_clock(monkeypatch, 10.0, progress=None)
    out, err = capfd.readouterr()
    assert err == ""
    first, second = out.split("\n")[:2]
    assert first == second
    shown = [text.strip() for text in first.split("\r")]
    assert shown[:3] == ["", "step 1/10, loss 1", "step 2/10, loss 0.9"]
    assert shown[-1].startswith("step 10/10, loss 0.1")


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_an_error_before_the_update(broken: float) -> None:
    model = Point(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [1.0, 1.0, broken, 1.0]
    with pytest.raises(FloatingPointError, match=f"loss is {broken} at step 2: lower the learning rate"):
        fit(model, batches, slope, optimizer=optimizer, num_steps=4)
    assert model.weight.item() == pytest.approx(0.8)
    assert not model.training


def test_a_gradient_that_is_not_finite_is_an_error_before_the_update() -> None:
    model = Point(0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="gradient norm is inf at step 0"):  # √ has slope ∞ at 0
        fit(model, [1.0], lambda model, batch: model.weight.sqrt(), optimizer=optimizer, num_steps=1)
    assert model.weight.item() == 0


def test_an_evaluation_that_is_nan_is_an_error() -> None:
    model = Point()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="evaluation loss is nan at step 4"):
        fit(model, [1.0], slope, optimizer=optimizer, num_steps=9, evaluate=lambda m: math.nan, eval_every=5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_steps": 0}, ValueError, "num_steps must be above 0, got 0"),
        ({"eval_every": 0}, ValueError, "eval_every must be above 0, got 0"),
        ({"patience": 0, "evaluate": lambda m: 0.0}, ValueError, "patience must be above 0, got 0"),
        ({"patience": 2}, ValueError, "patience needs evaluate"),
        ({"max_norm": -1.0}, ValueError, "max_norm must be above 0, got -1.0"),
        ({"max_norm": math.nan}, ValueError, "max_norm must be above 0, got nan"),
        (
            {"schedule": lambda step: -0.1},
            ValueError,
            "schedule must return a finite multiplier from 0, got -0.1",
        ),
        ({"schedule": lambda step: math.nan}, ValueError, "from 0, got nan"),
        ({"loss": lambda m, batch: 1.0}, TypeError, "loss must return a tensor, got float"),
        (
            {"loss": lambda m, batch: m.weight.expand(2)},
            ValueError,
            r"scalar, got shape \(2,\): take its mean",
        ),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    model = Point(1.0)
    arguments: dict[str, Any] = {"loss": slope, "num_steps": 3} | options
    with pytest.raises(error, match=message):
        fit(model, [1.0], optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **arguments)
    assert model.weight.item() == 1.0
