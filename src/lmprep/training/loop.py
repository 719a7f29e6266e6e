"""The one training loop of the book."""

import copy
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from lmprep.training.distributed import average_gradients, copy_weights, mean_over_processes, rank
from lmprep.training.optim import Optimizer

Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Record:
    """One update. Steps count from 0; `train_loss` is the batch's, before the update; `learning_rate` is the
    first parameter group's; `gradient_norm` is global and before clipping; `eval_loss`, where there was an
    evaluation, was measured after the update."""

    step: int
    train_loss: float
    learning_rate: float
    gradient_norm: float
    eval_loss: float | None


@dataclass(frozen=True)
class History:
    """All updates, and the one after which the evaluation loss was lowest (None: never evaluated)."""

    records: tuple[Record, ...]
    best_step: int | None
    stopped_early: bool


def fit(
    model: Model,
    batches: Iterable[Batch] | Callable[[int], Batch],
    loss: Callable[[Model, Batch], Tensor],
    *,
    optimizer: Optimizer | torch.optim.Optimizer,
    num_steps: int,
    schedule: Callable[[int], float] | None = None,
    max_norm: float | None = None,
    evaluate: Callable[[Model], float] | None = None,
    eval_every: int = 100,
    patience: int | None = None,
    progress: bool | None = None,
) -> History:
    """Train `model` in place for `num_steps` updates and leave it in eval mode.

    Under `torchrun`, between `with process_group():` and its end (see `distributed`), several processes
    train one model: they start from process 0's weights, each brings its own share of every batch, equal in
    size to the others', and gradients, losses and evaluations are means over the processes. Nothing else
    changes, so the records are those of one process with the whole batches, unless the loss couples the
    examples of a batch (batch norm, negatives from the batch) or draws random numbers (dropout).

    Args:
        batches: a function from the step (0, 1, …) to its batch, or an iterable that is started again when it
            ends. A batch goes to `loss` as it is, already on the model's device.
        loss: maps model and batch to the scalar tensor to minimize.
        optimizer: holds the parameters to train; the book's own, or one of torch's.
        schedule: maps the step (0 at the first update) to the multiplier of every group's learning rate.
        max_norm: gradients of a larger global norm are scaled down to it (Pascanu et al., 2013).
        evaluate: maps the model, in eval mode and without gradients, to a loss. Called after every
            `eval_every` updates and after the last.
        patience: stop after this many evaluations in a row that do not beat the best one, and in any case put
            the best evaluation's weights back in the end.
        progress: show step and loss on one line of standard output when a run takes over 2 seconds. By
            default only on a terminal, so that a notebook's outputs are the same in each run. Of several
            processes only the first shows it.

    Raises:
        FloatingPointError: a loss or a gradient is NaN or infinite. The update is not made.
        TypeError: `loss` returns no tensor.
        ValueError: a number is out of range, `patience` comes without `evaluate`, `batches` runs out, or the
            loss is not a scalar.
    """
    _check_positive(num_steps=num_steps, eval_every=eval_every, patience=patience, max_norm=max_norm)
    if patience is not None and evaluate is None:
        raise ValueError("patience needs evaluate, the loss to watch: pass both or neither")
    base_rates = [group["lr"] for group in optimizer.param_groups]
    stream = _stream(batches)
    visible = sys.stdout.isatty() if progress is None else progress
    line = _ProgressLine(num_steps, visible and rank() == 0)
    records: list[Record] = []
    best_loss, best_step, best_weights = math.inf, None, None
    evaluations_since_best = 0

    copy_weights(model)
    model.train()
    try:
        for step in range(num_steps):
            rate = _set_learning_rates(optimizer, base_rates, 1.0 if schedule is None else schedule(step))
            train_loss, norm = _update(model, next(stream), loss, optimizer, max_norm, step)
            eval_loss = None
            if evaluate is not None and ((step + 1) % eval_every == 0 or step + 1 == num_steps):
                eval_loss = _evaluate(model, evaluate, step)
                evaluations_since_best += 1
                if eval_loss < best_loss:
                    best_loss, best_step, evaluations_since_best = eval_loss, step, 0
                    best_weights = None if patience is None else copy.deepcopy(model.state_dict())
            records.append(Record(step, train_loss, rate, norm, eval_loss))
            line.show(records[-1])
            if patience is not None and evaluations_since_best >= patience:
                break
    finally:  # also when interrupted: the next call starts from the same learning rates
        _set_learning_rates(optimizer, base_rates, 1.0)
        model.eval()
        line.end()
    if best_weights is not None:
        model.load_state_dict(best_weights)
    return History(tuple(records), best_step, stopped_early=len(records) < num_steps)


def _update(
    model: Model,
    batch: Batch,
    loss: Callable[[Model, Batch], Tensor],
    optimizer: Optimizer | torch.optim.Optimizer,
    max_norm: float | None,
    step: int,
) -> tuple[float, float]:
    """Forward, backward, clip and step, each here alone; the batch's loss and the norm before clipping."""
    value = loss(model, batch)
    if not isinstance(value, Tensor):
        raise TypeError(f"loss must return a tensor, got {type(value).__name__}: drop .item() or float()")
    if value.ndim != 0:
        raise ValueError(f"loss must return a scalar, got shape {tuple(value.shape)}: take its mean")
    train_loss = _finite("loss", mean_over_processes(value.item()), step)
    optimizer.zero_grad()
    value.backward()
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    average_gradients(trained)
    norm = nn.utils.clip_grad_norm_(trained, math.inf if max_norm is None else max_norm)
    gradient_norm = _finite("gradient norm", norm.item(), step)
    optimizer.step()
    return train_loss, gradient_norm


def _evaluate(model: Model, evaluate: Callable[[Model], float], step: int) -> float:
    model.eval()
    with torch.no_grad():
        value = mean_over_processes(float(evaluate(model)))
    model.train()
    return _finite("evaluation loss", value, step)


def _set_learning_rates(
    optimizer: Optimizer | torch.optim.Optimizer, base_rates: list[float], factor: float
) -> float:
    """Set each group's rate to `factor` times its own; return the first's."""
    if not 0 <= factor < math.inf:
        raise ValueError(f"schedule must return a finite multiplier from 0, got {factor}")
    for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
        group["lr"] = rate * factor
    return float(optimizer.param_groups[0]["lr"])


def _stream(batches: Iterable[Batch] | Callable[[int], Batch]) -> Iterator[Batch]:
    """Batches without end."""
    if callable(batches):
        yield from map(batches, itertools.count())
        return
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError(
                "batches ran out: it is empty, or an iterator, which can be gone through only once. Pass a "
                "list, a DataLoader or a function of the step, or lower num_steps"
            )


def _finite(name: str, value: float, step: int) -> float:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{name} is {value} at step {step}: lower the learning rate, warm it up or clip with max_norm; "
            "at step 0 look for NaN in the batch, log(0) or a fully masked row"
        )
    return value


def _check_positive(**numbers: float | None) -> None:
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


class _ProgressLine:
    """One line, rewritten twice a second from the 2nd second on."""

    def __init__(self, num_steps: int, visible: bool) -> None:
        self.num_steps = num_steps
        self.next_time = time.monotonic() + 2 if visible else math.inf
        self.started = False

    def show(self, record: Record) -> None:
        if time.monotonic() >= self.next_time:
            self.next_time = time.monotonic() + 0.5
            self.started = True
            text = f"step {record.step + 1}/{self.num_steps}, loss {record.train_loss:.4g}"
            print(f"\r{text:<60}", end="", flush=True)

    def end(self) -> None:
        if self.started:
            print()
