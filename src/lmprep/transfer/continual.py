"""Learning from a stream: a fair memory, a price on moving, and what was gained and lost.

Models here are classifiers: they map inputs (N, D) to logits (N, K), each example by itself.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from lmprep.training.loop import fit
from lmprep.training.optim import Adam, Optimizer

Example = tuple[Tensor, Tensor]


class ReplayBuffer:
    """At most `capacity` examples of a stream, each seen so far as likely to be among them as any other.

    `examples` holds pairs of an input and its label, `num_seen` counts all that were offered.

    Source: Vitter (1985), algorithm R, which he credits to Alan Waterman.

    Raises:
        TypeError: capacity is no whole number.
        ValueError: capacity is below 0.
    """

    def __init__(self, capacity: SupportsIndex, rng: np.random.Generator) -> None:
        self.capacity = capacity.__index__()
        if self.capacity < 0:
            raise ValueError(f"capacity must be a whole number from 0, got {capacity}")
        self.rng = rng
        self.examples: list[Example] = []
        self.num_seen = 0

    def add(self, example: Example) -> None:
        """Offer the next example of the stream."""
        self.num_seen += 1
        if len(self.examples) < self.capacity:
            self.examples.append(example)
            return
        place = int(self.rng.integers(self.num_seen))  # among all seen, this one included
        if place < self.capacity:
            self.examples[place] = example

    def sample(self, size: int) -> Example:
        """A batch (size, …) and its labels (size,), drawn with replacement.

        Raises:
            ValueError: size is below 1, or the buffer is empty.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        if not self.examples:
            raise ValueError("the buffer is empty: add examples before sampling")
        chosen = [self.examples[place] for place in self.rng.integers(len(self.examples), size=size)]
        inputs, labels = zip(*chosen, strict=True)
        return torch.stack(inputs), torch.stack(labels)


@torch.enable_grad()
def fisher_diag(model: nn.Module, inputs: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
    """The diagonal of the Fisher information, averaged over the inputs.

    An entry is the mean of (∂ log p(y | x) / ∂θ)² over the inputs x, and for each of them over all classes y,
    weighted by the model's own p(y | x). With `labels` the given label stands for y: that is the empirical
    Fisher, another matrix (Kunstner, Hennig and Balles, 2019). Squares come before the mean over inputs, so
    the gradient of a batch does not do. In a linear layer the squared gradients of one example are an outer
    product, and their sum over examples a matrix product.

    Args:
        model: its parameters lie in `nn.Linear` layers, each of which is used once in a pass.
        inputs: (N, D).
        labels: (N,), whole numbers from 0.

    Returns:
        By name of the parameter, of its shape, cut off from autograd.

    Raises:
        ValueError: inputs are no matrix or empty, labels do not fit them, or a parameter lies elsewhere.
    """
    layers = _linear_layers(model)
    if inputs.ndim != 2 or len(inputs) == 0:
        raise ValueError(f"inputs must be (N, D) with N from 1, got {tuple(inputs.shape)}")
    if labels is not None and labels.shape != inputs.shape[:1]:
        raise ValueError(f"labels must be (N,) = ({len(inputs)},), got {tuple(labels.shape)}")
    with _watched(layers) as passed:
        log_p = F.log_softmax(model(inputs), dim=1)  # (N, K)
    weights = log_p.detach().exp() if labels is None else F.one_hot(labels, log_p.shape[1])
    outputs = [passed[name][1] for name in layers]
    fisher = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for k in range(log_p.shape[1]):
        slopes = torch.autograd.grad(log_p[:, k].sum(), outputs, retain_graph=True)  # (N, out) each
        for name, slope in zip(layers, slopes, strict=True):
            weighted = weights[:, k, None] * slope**2 / len(inputs)  # (N, out)
            fisher[f"{name}weight"] += weighted.T @ passed[name][0] ** 2  # (out, in)
            if layers[name].bias is not None:
                fisher[f"{name}bias"] += weighted.sum(dim=0)
    return fisher


def ewc_penalty(
    model: nn.Module, fisher: Mapping[str, Tensor], anchor: Mapping[str, Tensor], strength: float
) -> Tensor:
    """½ λ Σ F (θ − θ*)²: what elastic weight consolidation charges for moving away from the anchor θ*.

    Args:
        fisher, anchor: by name of the parameter, of its shape.
        strength: λ, from 0.

    Returns:
        A scalar with a gradient to the model's parameters.

    Raises:
        ValueError: names differ from the model's, or strength is below 0.

    Source: Kirkpatrick et al. (2017).
    """
    parameters = dict(model.named_parameters())
    if not fisher.keys() == anchor.keys() == parameters.keys():
        raise ValueError(f"fisher and anchor must hold the model's parameters, {list(parameters)}")
    if not strength >= 0:
        raise ValueError(f"strength must be at least 0, got {strength}")
    charges = [(fisher[name] * (p - anchor[name]) ** 2).sum() for name, p in parameters.items()]
    return 0.5 * strength * torch.stack(charges).sum()


def learn_in_turn(
    start: nn.Module,
    tasks: Sequence[Example],
    *,
    rate: float,
    steps: int,
    batch: int,
    generator: torch.Generator,
    strength: float = 0.0,
    buffer: ReplayBuffer | None = None,
) -> list[nn.Module]:
    """The model after each task: plain, with EWC (strength > 0), with replay (a buffer), or both.

    Args:
        start: copied, not changed.
        tasks: inputs (N, D) and labels (N,) of each, at least one.
        rate: of Adam, which starts anew with each task; it falls to 0 in a straight line over the task.
        steps: updates for each task.
        batch: examples for each update, half of them from the buffer once it holds any.
        generator: draws the new examples of a batch.
        strength: λ of `ewc_penalty`; Fishers add up, the latest anchor holds (Huszár, 2018).
        buffer: is offered each task's examples after the task was learned.

    Raises:
        ValueError: there is no task, one is empty or its labels do not fit, strength is below 0, or batch is
            below 1, or below 2 with a buffer.
    """
    if not tasks:
        raise ValueError("tasks is empty: there must be at least one to learn")
    for inputs, labels in tasks:
        _check_examples(inputs, labels)
    if not strength >= 0:
        raise ValueError(f"strength must be at least 0, got {strength}")
    if batch < (1 if buffer is None else 2):
        raise ValueError(f"batch must be at least 1, with a buffer at least 2, got {batch}")
    model, fisher = copy.deepcopy(start), dict[str, Tensor]()
    learned: list[nn.Module] = []

    def loss(model: nn.Module, examples: Example) -> Tensor:
        value = F.cross_entropy(model(examples[0]), examples[1])
        return value + ewc_penalty(model, fisher, learned[-1].state_dict(), strength) if fisher else value

    for task in tasks:
        fit(
            model,
            (_mixed_batch(task, batch, buffer, generator) for _ in range(steps)),
            loss,
            optimizer=Adam(model.parameters(), lr=rate),
            num_steps=steps,
            schedule=lambda step: 1 - step / steps,
        )
        learned.append(copy.deepcopy(model))
        if buffer is not None:
            for example in zip(*task, strict=True):
                buffer.add(example)
        if strength:
            for name, values in fisher_diag(model, task[0]).items():
                fisher[name] = fisher.get(name, torch.zeros_like(values)) + values
    return learned


@torch.no_grad()
def accuracy(model: nn.Module, task: Example) -> float:
    """The share of inputs (N, D) whose label (N,) the model predicts.

    Raises:
        ValueError: there are no inputs, or the labels do not fit them.
    """
    inputs, labels = task
    _check_examples(inputs, labels)
    return (model(inputs).argmax(dim=1) == labels).double().mean().item()


def accuracy_matrix(models: Sequence[nn.Module], tasks: Sequence[Example]) -> NDArray[np.float64]:
    """The accuracy of each model on each task: a row per model, a column per task.

    Raises:
        ValueError: there is no model or no task, or a task does not fit `accuracy`.
    """
    if not models or not tasks:
        raise ValueError(f"models and tasks must not be empty, got {len(models)} and {len(tasks)}")
    return np.array([[accuracy(model, task) for task in tasks] for model in models])


class Scores(NamedTuple):
    """What a row of tasks left: see `cl_metrics`."""

    accuracy: float
    backward_transfer: float
    forgetting: float


def cl_metrics(accuracies: ArrayLike) -> Scores:
    """Average accuracy, backward transfer and forgetting after T tasks.

    Args:
        accuracies: (T, T); row i was measured after task i was learned, column j on task j.

    Returns:
        The mean of the last row; the mean of last minus diagonal; and the mean of best so far minus last.
        The last two are over the tasks but the last, and 0 if there is one task only; best so far is over
        the rows from a task's own to the last but one.

    Raises:
        ValueError: accuracies are no square matrix, empty, or an entry is not from 0 to 1.

    Source: Lopez-Paz and Ranzato (2017); Chaudhry et al. (2018) for forgetting.
    """
    R = np.asarray(accuracies, dtype=np.float64)
    if R.ndim != 2 or R.shape[0] != R.shape[1] or not len(R):
        raise ValueError(f"accuracies must be (T, T) with T from 1, got {R.shape}")
    if not ((R >= 0) & (R <= 1)).all():
        raise ValueError("accuracies must be shares, from 0 to 1")
    last, T = R[-1], len(R)
    if T == 1:
        return Scores(float(last[0]), 0.0, 0.0)
    best = np.array([R[j:-1, j].max() for j in range(T - 1)])
    return Scores(
        float(last.mean()), float((last - R.diagonal())[:-1].mean()), float((best - last[:-1]).mean())
    )


def prequential(model: nn.Module, batches: Sequence[Example], optimizer: Optimizer | None = None) -> Tensor:
    """Test, then train: which examples of a stream a model gets right *before* it learns from them.

    Args:
        model: with an optimizer it is changed in place, one update for each batch.
        batches: inputs (B, D) and labels (B,), in the order of the stream, at least one.
        optimizer: of the model's parameters; None leaves the model as it is.

    Returns:
        (N,) bool, N examples in all.

    Raises:
        ValueError: there is no batch.

    Source: Dawid (1984) for the principle; Gama, Sebastião and Rodrigues (2013) for streams.
    """
    if not batches:
        raise ValueError("batches is empty: a stream needs at least one")
    hits: list[Tensor] = []

    def test_then_loss(model: nn.Module, batch: Example) -> Tensor:
        inputs, labels = batch
        logits = model(inputs)  # of the weights before the update
        hits.append(logits.argmax(dim=1) == labels)
        return F.cross_entropy(logits, labels)

    if optimizer is not None:
        fit(model, batches, test_then_loss, optimizer=optimizer, num_steps=len(batches))
    else:
        with torch.no_grad():
            for batch in batches:
                test_then_loss(model, batch)
    return torch.cat(hits)


def guarded(
    model: nn.Module,
    chunks: Sequence[Sequence[Example]],
    optimizer: Optimizer,
    canary: Example,
    tolerance: float = 1.0,
) -> tuple[Tensor, list[float]]:
    """Learn chunk by chunk; roll a chunk back if it costs canary accuracy.

    Only the weights are rolled back: an optimizer with a state of its own, such as Adam's moments, keeps it.

    Args:
        model: changed in place.
        chunks: batches as for `prequential`, in the order of the stream.
        canary: inputs and trusted labels that no batch holds.
        tolerance: how far canary accuracy may fall below its best; at 1 nothing is ever rolled back.

    Returns:
        Which examples were right before they were learned, (N,) bool, and the canary accuracy at the start
        and after each chunk, with a chunk rolled back if it had to be.

    Raises:
        ValueError: there is no chunk or one is empty, tolerance is not from 0 to 1, or the canary does not
            fit `accuracy`.
    """
    if not chunks:
        raise ValueError("chunks is empty: a stream needs at least one")
    if not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance must be from 0 to 1, got {tolerance}")
    hits, scores = [], [accuracy(model, canary)]
    for chunk in chunks:
        snapshot = copy.deepcopy(model.state_dict())
        hits.append(prequential(model, chunk, optimizer))
        if accuracy(model, canary) < max(scores) - tolerance:
            model.load_state_dict(snapshot)
        scores.append(accuracy(model, canary))
    return torch.cat(hits), scores


def _mixed_batch(
    task: Example, size: int, buffer: ReplayBuffer | None, generator: torch.Generator
) -> Example:
    """Examples of the task, drawn with replacement; half of them from the buffer if it holds any."""
    inputs, labels = task
    replayed = size // 2 if buffer is not None and buffer.examples else 0
    chosen = torch.randint(len(inputs), (size - replayed,), generator=generator)
    if buffer is None or not replayed:
        return inputs[chosen], labels[chosen]
    old_inputs, old_labels = buffer.sample(replayed)
    return torch.cat([inputs[chosen], old_inputs]), torch.cat([labels[chosen], old_labels])


def _check_examples(inputs: Tensor, labels: Tensor) -> None:
    if len(inputs) == 0 or labels.shape != inputs.shape[:1]:
        raise ValueError(
            "inputs (N, D) need labels (N,) with N from 1, "
            f"got {tuple(inputs.shape)} and {tuple(labels.shape)}"
        )


def _linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """By the prefix of their parameters' names.

    Raises:
        ValueError: a parameter lies elsewhere, or there is none.
    """
    layers = {
        f"{name}." if name else "": layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    }
    inside = {id(p) for layer in layers.values() for p in layer.parameters()}
    others = [name for name, p in model.named_parameters() if id(p) not in inside]
    if others or not layers:
        raise ValueError(f"model must hold all its parameters in nn.Linear layers, but also has {others}")
    return layers


@contextmanager
def _watched(layers: Mapping[str, nn.Linear]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """While it lasts, each layer's latest input and output go into the dict."""
    passed: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [
        layer.register_forward_hook(
            lambda layer, inputs, output, name=name: passed.update({name: (inputs[0].detach(), output)})
        )
        for name, layer in layers.items()
    ]
    try:
        yield passed
    finally:
        for handle in handles:
            handle.remove()
