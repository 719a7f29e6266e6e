"""lmprep.transfer.continual against closed forms, per-example autograd, SciPy and scikit-learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.linear_model import SGDClassifier
from torch import Tensor, nn

from lmprep.training.optim import SGD
from lmprep.transfer.continual import (
    ReplayBuffer,
    accuracy,
    accuracy_matrix,
    cl_metrics,
    ewc_penalty,
    fisher_diag,
    guarded,
    learn_in_turn,
    prequential,
)

seeds = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(bias: bool = True) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5, bias=bias), nn.Tanh(), nn.Linear(5, 4)).double()


# --- the reservoir ---------------------------------------------------------------------------------------


def held(n: int, capacity: int, rng: np.random.Generator) -> list[int]:
    buffer = ReplayBuffer(capacity, rng)
    for number in range(n):
        buffer.add((torch.tensor(number), torch.tensor(number)))
    assert buffer.num_seen == n
    return [int(item) for item, _ in buffer.examples]


@given(n=st.integers(0, 30), capacity=st.integers(0, 12), seed=seeds)
@settings(max_examples=15)
def test_it_holds_different_items_and_fills_in_order(n: int, capacity: int, seed: int) -> None:
    kept = held(n, capacity, np.random.default_rng(seed))
    assert len(kept) == min(n, capacity) == len(set(kept))
    if n <= capacity:
        assert kept == list(range(n))


def test_every_item_is_as_likely_to_be_in_by_chi_squared() -> None:
    n, k, streams, rng = 15, 4, 1000, np.random.default_rng(0)
    counts = np.zeros(n)
    for _ in range(streams):
        counts[held(n, k, rng)] += 1
    statistic = ((counts - streams * k / n) ** 2).sum() / (streams * k * (n - k) / (n * (n - 1)))
    assert 1e-3 < chi2.sf(statistic, n - 1) < 1 - 1e-3


def test_samples_are_examples_of_the_buffer_with_their_labels() -> None:
    buffer = ReplayBuffer(5, np.random.default_rng(1))
    for number in range(9):
        buffer.add((torch.full((2,), float(number)), torch.tensor(number)))
    inputs, labels = buffer.sample(40)
    assert inputs.shape == (40, 2)
    assert torch.equal(inputs[:, 0], labels.float())
    assert set(labels.tolist()) == {int(label) for _, label in buffer.examples}


def test_bad_input_to_the_buffer() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="capacity"):
        ReplayBuffer(-1, rng)
    with pytest.raises((TypeError, AttributeError)):
        ReplayBuffer(2.5, rng)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(2, rng).sample(1)
    with pytest.raises(ValueError, match="size"):
        ReplayBuffer(2, rng).sample(0)


# --- the Fisher information and the penalty --------------------------------------------------------------


@given(N=st.integers(1, 12), D=st.integers(1, 5), K=st.integers(2, 4), seed=seeds)
@settings(max_examples=10)
def test_of_logistic_regression_it_is_the_mean_of_p_one_minus_p_x_squared(
    N: int, D: int, K: int, seed: int
) -> None:
    model, x = nn.Linear(D, K).double(), normal(N, D, seed=seed)
    p = model(x).softmax(dim=1).detach()
    fisher = fisher_diag(model, x)
    torch.testing.assert_close(fisher["weight"], (p * (1 - p)).T @ x**2 / N, atol=1e-12, rtol=0)
    torch.testing.assert_close(fisher["bias"], (p * (1 - p)).mean(dim=0), atol=1e-12, rtol=0)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 3, 1, 1, 2])])
@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_autograd_one_example_and_class_at_a_time(labels: Tensor | None, bias: bool) -> None:
    model, x = network(bias), normal(5, 3)
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for row in range(5):
        for k in range(4):
            log_p = F.log_softmax(model(x[row]), dim=0)
            weight = log_p[k].exp().item() if labels is None else float(labels[row] == k)
            gradients = torch.autograd.grad(log_p[k], list(model.parameters()))
            for name, gradient in zip(expected, gradients, strict=True):
                expected[name] += weight * gradient**2 / 5
    found = fisher_diag(model, x, labels)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        torch.testing.assert_close(values, expected[name], atol=1e-12, rtol=0)
        assert not values.requires_grad


def test_the_empirical_fisher_is_another_matrix() -> None:
    model, x = nn.Linear(3, 4).double(), normal(6, 3)
    worst = model(x).argmin(dim=1)
    assert fisher_diag(model, x, worst)["weight"].sum() > fisher_diag(model, x)["weight"].sum()


def test_it_works_where_gradients_are_off_and_leaves_no_hook() -> None:
    model, x = network(), normal(5, 3)
    with torch.no_grad():
        fisher_diag(model, x)
    assert not any(module._forward_hooks for module in model.modules())


def test_bad_input_to_the_fisher() -> None:
    with pytest.raises(ValueError, match="inputs"):
        fisher_diag(network(), normal(3))
    with pytest.raises(ValueError, match="inputs"):
        fisher_diag(network(), normal(0, 3))
    with pytest.raises(ValueError, match="labels"):
        fisher_diag(network(), normal(5, 3), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"nn\.Linear"):
        fisher_diag(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), normal(5, 3))


def test_one_running_penalty_is_joint_training_and_two_anchors_are_not() -> None:
    model = nn.Linear(1, 1, bias=False).double()

    def slope(at: float, springs: list[tuple[float, float]]) -> float:
        nn.init.constant_(model.weight, at)
        loss = 0.5 * 2 * (model.weight.sum() - 6) ** 2
        for stiffness, anchor in springs:
            F_, anchored = (
                {"weight": torch.full((1, 1), stiffness).double()},
                {"weight": torch.full((1, 1), anchor).double()},
            )
            loss = loss + ewc_penalty(model, F_, anchored, 1.0)
        return torch.autograd.grad(loss, model.weight)[0].item()

    assert slope(4.0, [(2.0, 2.0)]) == pytest.approx(0, abs=1e-12)
    assert slope(3.5, [(1.0, 0.0), (1.0, 2.0)]) == pytest.approx(0, abs=1e-12)


def test_bad_input_to_the_penalty() -> None:
    model = nn.Linear(2, 2)
    right = {name: torch.ones_like(p) for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match="parameters"):
        ewc_penalty(model, {"weight": right["weight"]}, right, 1.0)
    with pytest.raises(ValueError, match="strength"):
        ewc_penalty(model, right, right, -1.0)


# --- one task after the other ----------------------------------------------------------------------------


def two_tasks() -> list[tuple[Tensor, Tensor]]:
    """The same inputs, with opposite labels: who learns the second task forgets the first."""
    x = normal(80, 3)
    y = (x[:, 0] > 0).long()
    return [(x, y), (x, 1 - y)]


def untrained() -> nn.Linear:
    model = nn.Linear(3, 2).double()
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


def learned(
    tasks: list[tuple[Tensor, Tensor]], start: nn.Module | None = None, **options: object
) -> list[nn.Module]:
    settings = {"rate": 0.1, "steps": 60, "batch": 16, "generator": torch.Generator().manual_seed(0)}
    return learn_in_turn(start or untrained(), tasks, **(settings | options))  # type: ignore[arg-type]


def test_plain_training_forgets_stiff_springs_hold_and_the_start_stays() -> None:
    tasks, start = two_tasks(), untrained()
    before = start.weight.detach().clone()
    plain = accuracy_matrix(learned(tasks, start), tasks)
    stiff = accuracy_matrix(learned(tasks, start, strength=1e6), tasks)
    assert plain[0, 0] > 0.9 < plain[1, 1]
    assert plain[1, 0] < 0.1
    assert stiff[1, 0] > 0.9
    assert torch.equal(start.weight, before)


def test_models_are_copies_and_soft_springs_are_between() -> None:
    tasks, start = two_tasks(), untrained()
    first, second = learned(tasks, start, strength=3.0)
    assert not torch.equal(first.weight, second.weight)
    plain = learned(tasks, start)
    torch.testing.assert_close(first.weight, plain[0].weight)  # no spring before the first task is over
    moved, plainly = (model.weight - first.weight for model in (second, plain[1]))
    assert moved.norm() < plainly.norm()


def test_fishers_of_all_tasks_add_up_and_the_latest_anchor_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(model: nn.Module, fisher: dict, anchor: dict, strength: float) -> Tensor:
        seen.append((fisher["weight"].clone(), anchor["weight"].clone()))
        return ewc_penalty(model, fisher, anchor, strength)

    monkeypatch.setattr("lmprep.transfer.continual.ewc_penalty", spy)
    tasks = [*two_tasks(), two_tasks()[0]]
    models = learned(tasks, strength=1.0, steps=5)
    assert len(seen) == 10
    sums = [fisher_diag(models[0], tasks[0][0])["weight"], fisher_diag(models[1], tasks[1][0])["weight"]]
    torch.testing.assert_close(seen[-1][0], sums[0] + sums[1])
    assert torch.equal(seen[-1][1], models[1].weight)
    assert torch.equal(seen[0][1], models[0].weight)


def test_half_of_a_batch_comes_from_the_buffer_from_the_second_task_on() -> None:
    sizes = []

    class Spy(ReplayBuffer):
        def sample(self, size: int) -> tuple[Tensor, Tensor]:
            sizes.append(size)
            return super().sample(size)

    buffer = Spy(10, np.random.default_rng(0))
    learned(two_tasks(), buffer=buffer, batch=9, steps=7)
    assert sizes == [4] * 7
    assert buffer.num_seen == 160


def test_replay_keeps_a_task_that_plain_training_forgets() -> None:
    x = normal(80, 3)
    tasks = [
        (x[x[:, 1] > 0], (x[x[:, 1] > 0, 0] > 0).long()),
        (x[x[:, 1] <= 0], (x[x[:, 1] <= 0, 0] < 0).long()),
    ]
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2)).double()
    plain = accuracy_matrix(learned(tasks, start, steps=150), tasks)
    buffer = ReplayBuffer(30, np.random.default_rng(0))
    replay = accuracy_matrix(learned(tasks, start, steps=150, buffer=buffer), tasks)
    assert replay[1, 0] > plain[1, 0] + 0.2
    assert replay[1, 1] > 0.85


def test_bad_input_to_learning() -> None:
    tasks = two_tasks()
    with pytest.raises(ValueError, match="tasks"):
        learned([])
    with pytest.raises(ValueError, match="labels"):
        learned([(tasks[0][0], tasks[0][1][:5])])
    with pytest.raises(ValueError, match="inputs"):
        learned([(normal(0, 3), torch.zeros(0, dtype=torch.long))])
    with pytest.raises(ValueError, match="strength"):
        learned(tasks, strength=-1.0)
    with pytest.raises(ValueError, match="batch"):
        learned(tasks, batch=0)
    with pytest.raises(ValueError, match="batch"):
        learned(tasks, batch=1, buffer=ReplayBuffer(3, np.random.default_rng(0)))


# --- measures --------------------------------------------------------------------------------------------


class Says(nn.Module):
    """Predicts one class, whatever comes."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        return F.one_hot(torch.full((len(x),), self.k), 3).double()


def test_accuracy_and_its_matrix_by_hand() -> None:
    tasks = [(normal(4, 3), torch.tensor([0, 0, 0, 1])), (normal(2, 3), torch.tensor([1, 2]))]
    assert accuracy(Says(0), tasks[0]) == 0.75
    assert accuracy_matrix([Says(0), Says(1), Says(2)], tasks).tolist() == [[0.75, 0], [0.25, 0.5], [0, 0.5]]


def test_bad_input_to_accuracy() -> None:
    task = (normal(4, 3), torch.tensor([0, 0, 0, 1]))
    with pytest.raises(ValueError, match="inputs"):
        accuracy(Says(0), (normal(0, 3), torch.zeros(0, dtype=torch.long)))
    with pytest.raises(ValueError, match="labels"):
        accuracy(Says(0), (task[0], task[1][:3]))
    with pytest.raises(ValueError, match="models"):
        accuracy_matrix([], [task])
    with pytest.raises(ValueError, match="tasks"):
        accuracy_matrix([Says(0)], [])


def test_the_three_measures_by_hand() -> None:
    scores = cl_metrics([[0.9, 0.1, 0.1], [0.5, 0.9, 0.1], [0.3, 0.7, 0.8]])
    assert scores == pytest.approx((0.6, -0.4, 0.4))


def test_best_so_far_may_come_after_a_task_was_learned_and_not_before() -> None:
    scores = cl_metrics([[0.5, 1.0, 0.0], [0.8, 0.6, 0.0], [0.4, 0.6, 0.9]])
    assert scores.forgetting == pytest.approx((0.4 + 0.0) / 2)
    assert scores.backward_transfer == pytest.approx((-0.1 + 0.0) / 2)
    assert cl_metrics([[0.7]]) == (0.7, 0.0, 0.0)


@pytest.mark.parametrize("bad", [[0.5], [[0.5, 0.5]], np.zeros((0, 0)), [[1.2]], [[float("nan")]]])
def test_bad_input_to_the_measures(bad: object) -> None:
    with pytest.raises(ValueError, match="accuracies"):
        cl_metrics(bad)  # type: ignore[arg-type]


# --- streams ---------------------------------------------------------------------------------------------


def stream(n: int) -> list[tuple[Tensor, Tensor]]:
    x = normal(n, 3)
    return [(row[None], (row.sum() > 0).long()[None]) for row in x]


def test_it_predicts_before_it_learns_as_sklearn_does() -> None:
    batches, rate = stream(60), 0.1
    model = nn.Linear(3, 2).double()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    reference = SGDClassifier(loss="log_loss", penalty=None, learning_rate="constant", eta0=2 * rate)
    hits = []
    for step, (x, y) in enumerate(batches):
        guess = reference.predict(x.numpy())[0] if step else 0
        hits.append(bool(guess == y.item()))
        reference.partial_fit(x.numpy(), y.numpy(), classes=[0, 1])
    found = prequential(model, batches, SGD(model.parameters(), lr=rate))
    weight, bias = model.weight.detach(), model.bias.detach()
    # Two logits that move in opposite directions: their difference moves twice as far.
    np.testing.assert_allclose((weight[1] - weight[0]).numpy(), reference.coef_[0], atol=1e-10)
    np.testing.assert_allclose((bias[1] - bias[0]).item(), reference.intercept_[0], atol=1e-10)
    assert found.tolist() == hits


def test_a_static_model_stays_as_it_is() -> None:
    model = nn.Linear(3, 2).double()
    before = model.weight.detach().clone()
    batches = [(normal(4, 3), torch.tensor([0, 1, 1, 0])), (normal(2, 3, seed=1), torch.tensor([1, 1]))]
    hits = prequential(model, batches)
    expected = [(model(x).argmax(1) == y).tolist() for x, y in batches]
    assert hits.tolist() == expected[0] + expected[1]
    assert torch.equal(model.weight, before)
    with pytest.raises(ValueError, match="batches"):
        prequential(model, [])


# --- the gate --------------------------------------------------------------------------------------------


def gated(tolerance: float) -> tuple[nn.Linear, Tensor, list[float]]:
    """A model that reads the sign of the first input, and two chunks: right labels, then false ones."""
    x = normal(120, 3)
    y = (x[:, 0] > 0).long()
    model = nn.Linear(3, 2).double()
    nn.init.constant_(model.bias, 0.0)
    model.weight.data = torch.tensor([[-1.0, 0, 0], [1, 0, 0]], dtype=torch.float64)
    right, false = ([(x[k : k + 4], z[k : k + 4]) for k in range(0, 80, 4)] for z in (y, 1 - y))
    hits, scores = guarded(
        model, [right, false], SGD(model.parameters(), lr=1.0), (x[80:], y[80:]), tolerance
    )
    return model, hits, scores


def test_a_gate_rolls_back_the_chunk_with_false_labels_and_no_gate_does_not() -> None:
    model, hits, scores = gated(0.1)
    open_model, open_hits, open_scores = gated(1.0)
    assert hits.shape == (160,)
    assert torch.equal(hits, open_hits)  # the stream is scored before the gate decides
    assert len(scores) == 3
    assert scores[2] == scores[1] > 0.9
    assert open_scores[2] < 0.3
    assert not torch.equal(model.weight, open_model.weight)


def test_bad_input_to_the_gate() -> None:
    model = nn.Linear(3, 2).double()
    optimizer, canary = SGD(model.parameters(), lr=0.1), (normal(4, 3), torch.tensor([0, 1, 1, 0]))
    with pytest.raises(ValueError, match="chunks"):
        guarded(model, [], optimizer, canary)
    with pytest.raises(ValueError, match="batches"):
        guarded(model, [[]], optimizer, canary)
    with pytest.raises(ValueError, match="tolerance"):
        guarded(model, [stream(3)], optimizer, canary, tolerance=1.5)
    with pytest.raises(ValueError, match="labels"):
        guarded(model, [stream(3)], optimizer, (canary[0], canary[1][:2]))
