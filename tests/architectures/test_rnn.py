"""The LSTM language model and its state across calls; cells, what is read of their states, and the scan."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from lmprep.architectures.generate import generate
from lmprep.architectures.rnn import (
    GRUCell,
    LSTMCell,
    LSTMConfig,
    LSTMLanguageModel,
    RNNCell,
    bidirectional,
    jacobian_norms,
    last_valid,
    linear_scan,
    set_gate_bias,
    unroll,
)
from lmprep.foundations.decoding import greedy, sample

V = 11


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def language_model(**choices: Any) -> LSTMLanguageModel:
    return LSTMLanguageModel(LSTMConfig(vocab_size=V, width=16, **choices), generator()).eval()


def random_ids(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(V, shape, generator=generator(seed))


def unrolled(model: LSTMLanguageModel, ids: Tensor) -> Tensor:
    """The same network from `nn.LSTMCell`s with copied weights, one token and one layer at a time."""
    weights = model.state_dict()
    D = weights["tokens.weight"].size(1)
    cells, states = [], []
    for layer in range(model.config.num_layers):
        cell = nn.LSTMCell(D, D)
        cell.load_state_dict({name: weights[f"lstm.{name}_l{layer}"] for name in cell.state_dict()})
        cells.append(cell)
        states.append((torch.zeros(len(ids), D), torch.zeros(len(ids), D)))
    logits = []
    for t in range(ids.size(1)):
        x = weights["tokens.weight"][ids[:, t]]  # (B, D)
        for layer, cell in enumerate(cells):
            states[layer] = cell(x, states[layer])
            x = states[layer][0]
        logits.append(x @ weights["head.weight"].mT)
    return torch.stack(logits, dim=1)


# --- reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied_head", [True, False])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (4, 13)])
def test_equals_unrolled_cells(shape: tuple[int, int], num_layers: int, tied_head: bool) -> None:
    model = language_model(num_layers=num_layers, tied_head=tied_head)
    ids = random_ids(*shape)
    with torch.no_grad():
        logits = model(ids)
        assert logits.shape == (*shape, V)
        torch.testing.assert_close(logits, unrolled(model, ids), rtol=0, atol=1e-6)
    assert logits.std() > 0.01


def test_dropout_falls_on_what_enters_and_leaves_the_layer() -> None:
    model = language_model(dropout=0.4)
    ids = random_ids(3, 7)
    without = model(ids)
    model.train()
    torch.manual_seed(5)
    ours = model(ids)
    torch.manual_seed(5)
    output, _ = model.lstm(F.dropout(model.tokens(ids), 0.4))
    theirs = F.dropout(output, 0.4) @ model.head.weight.mT
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert not torch.allclose(ours, without, atol=1e-3)


def test_dropout_falls_between_layers_too() -> None:
    with torch.no_grad():
        model = language_model(dropout=0.4, num_layers=2).train()
        model.dropout.p = 0.0  # only the one inside the LSTM is left
        ids = random_ids(3, 7)
        assert not torch.allclose(model(ids), model.eval()(ids), atol=1e-4)


# --- start -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied_head", [True, False])
def test_first_predictions_are_nearly_uniform(tied_head: bool) -> None:
    config = LSTMConfig(vocab_size=100, width=64, tied_head=tied_head)
    model = LSTMLanguageModel(config, generator())
    ids = torch.randint(100, (8, 33), generator=generator(2))
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(100), abs=0.05)
    bound = 1 / math.sqrt(64)
    for parameter in model.parameters():
        assert parameter.abs().max() <= bound
        assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, again = language_model(), language_model()
    other = LSTMLanguageModel(first.config, generator(9))
    assert torch.random.get_rng_state().equal(before)
    for name, weight in first.state_dict().items():
        assert weight.equal(again.state_dict()[name])
        assert not weight.equal(other.state_dict()[name])


def test_a_tied_head_stays_tied_through_training_and_saves_its_parameters() -> None:
    tied, untied = language_model(), language_model(tied_head=False)
    count = [sum(p.numel() for p in model.parameters()) for model in (tied, untied)]
    assert count[1] - count[0] == V * 16
    optimizer = torch.optim.SGD(tied.parameters(), lr=1.0)
    tied(random_ids(2, 5)).square().sum().backward()
    optimizer.step()
    assert tied.head.weight.equal(tied.tokens.weight)
    assert not tied.head.weight.equal(language_model().head.weight)


# --- state -----------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("num_layers", [1, 2])
def test_token_by_token_equals_the_whole_sequence(num_layers: int) -> None:
    model = language_model(num_layers=num_layers)
    ids = random_ids(3, 20)
    state = model.new_cache(3)
    steps = [model(ids[:, t : t + 1], cache=state) for t in range(20)]
    torch.testing.assert_close(torch.cat(steps, dim=1), model(ids), rtol=0, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 11)))
def test_any_cut_into_pieces_equals_the_whole_sequence(cuts: set[int]) -> None:
    with torch.no_grad():
        model = language_model(num_layers=2)
        ids = random_ids(2, 12)
        state = model.new_cache(2)
        bounds = pairwise([0, *sorted(cuts), 12])
        pieces = [model(ids[:, start:end], cache=state) for start, end in bounds]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), rtol=0, atol=1e-6)


@torch.no_grad()
def test_calls_without_a_cache_and_fresh_caches_share_nothing() -> None:
    model = language_model()
    ids = random_ids(2, 6)
    before = model(ids)
    used, fresh = model.new_cache(2), model.new_cache(2)
    model(ids, cache=used)
    assert used.hidden.abs().max() > 0
    assert used.cell.abs().max() > 0
    assert not used.hidden.equal(used.cell)
    torch.testing.assert_close(model(ids, cache=fresh), before, rtol=0, atol=0)
    assert not model(ids, cache=used).equal(before)


def test_gradients_stop_at_the_cache() -> None:
    model = language_model()
    state = model.new_cache(1)
    earlier = model(random_ids(1, 4), cache=state)
    assert earlier.requires_grad
    assert not state.hidden.requires_grad
    assert not state.cell.requires_grad


@torch.no_grad()
def test_a_token_changes_no_earlier_prediction_and_every_later_one() -> None:
    model = language_model(num_layers=2)
    ids = random_ids(1, 9)
    changed = ids.clone()
    changed[0, 4] = (ids[0, 4] + 1) % V
    difference = (model(ids) - model(changed)).abs().amax(dim=-1)[0]  # (T,)
    assert (difference[:4] == 0).all()
    assert (difference[4:] > 1e-6).all()


@pytest.mark.parametrize("draw", [greedy, sample])
def test_generates_the_same_with_and_without_its_state(draw: Any) -> None:
    model = language_model(num_layers=2, dropout=0.3).train()
    prompt = random_ids(3, 4)
    cached, uncached = (
        generate(model, prompt, 25, draw, cache=cache, generator=generator(7)) for cache in (True, False)
    )
    assert cached.equal(uncached)
    assert cached.shape == (3, 29)
    with torch.no_grad():  # each greedy token is the unrolled cells' most likely one
        best = unrolled(model, cached[:, :-1])[:, 3:].argmax(dim=-1)
    assert best.equal(cached[:, 4:]) == (draw is greedy)


def test_state_has_the_models_dtype() -> None:
    model = language_model().double()
    state = model.new_cache(2)
    assert model(random_ids(2, 3), cache=state).dtype == torch.float64
    assert state.hidden.dtype == state.cell.dtype == torch.float64


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (torch.tensor([[0, V]]), ValueError, f"ids must be from 0 to {V - 1}, got 0 to {V}"),
        (torch.tensor([[-1, 2]]), ValueError, f"ids must be from 0 to {V - 1}, got -1 to 2"),
        (torch.tensor([0, 1]), ValueError, r"shape \(B, T\)"),
        (torch.zeros(2, 0, dtype=torch.long), ValueError, "at least one token"),
        (torch.zeros(2, 3), TypeError, "torch.long, got torch.float32"),
        (torch.zeros(2, 3, dtype=torch.int32), TypeError, "torch.long, got torch.int32"),
    ],
)
def test_bad_ids(ids: Tensor, error: type[Exception], message: str) -> None:
    model = language_model()
    state = model.new_cache(len(ids))
    with pytest.raises(error, match=message):
        model(ids, cache=state)
    assert not state.hidden.any()


def test_a_cache_of_another_batch_size_is_an_error() -> None:
    model = language_model()
    with pytest.raises(ValueError, match="ids hold 3 sequences, the cache 2"):
        model(random_ids(3, 4), cache=model.new_cache(2))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
        ({"dropout": math.nan}, "dropout must be from 0 to below 1, got nan"),
    ],
)
def test_bad_configurations(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LSTMConfig(**({"vocab_size": V, "width": 4} | choices))


# --- cells -----------------------------------------------------------------------------------------------

D, H = 3, 5
KINDS: Any = [(RNNCell, nn.RNN), (GRUCell, nn.GRU), (LSTMCell, nn.LSTM)]


def cell_and_layer(kind: Any, layer: Any, dtype: torch.dtype = torch.float64) -> tuple[Any, Any]:
    """A cell, and torch's layer with its weights."""
    cell = kind(D, H, generator()).to(dtype)
    theirs = layer(D, H, batch_first=True).to(dtype)
    theirs.load_state_dict({f"{name}_l0": weight for name, weight in cell.state_dict().items()})
    return cell, theirs


def random(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def parts(state: Any) -> list[Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize(("kind", "layer"), KINDS)
@pytest.mark.parametrize("shape", [(1, 1, D), (4, 9, D)])
def test_unrolled_cells_equal_torchs_layers(kind: Any, layer: Any, shape: tuple[int, ...]) -> None:
    cell, theirs = cell_and_layer(kind, layer)
    x = 3 * random(*shape)
    ours, state = unroll(cell, x)
    output, last = theirs(x)
    torch.testing.assert_close(ours, output, rtol=0, atol=1e-12)
    for mine, its in zip(parts(state), parts(last), strict=True):
        torch.testing.assert_close(mine, its[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "layer"), KINDS)
def test_starts_from_a_state_and_goes_on_from_it(kind: Any, layer: Any) -> None:
    cell, theirs = cell_and_layer(kind, layer)
    x, h, c = random(4, 9, D), random(4, H, seed=2), random(4, H, seed=3)
    start: Any = (h, c) if kind is LSTMCell else h
    whole, end = unroll(cell, x, start)
    first, middle = unroll(cell, x[:, :4], start)
    second, again = unroll(cell, x[:, 4:], middle)
    assert torch.cat([first, second], dim=1).equal(whole)
    assert all(map(torch.equal, parts(end), parts(again)))
    output, _ = theirs(x, (h[None], c[None]) if kind is LSTMCell else h[None])
    torch.testing.assert_close(whole, output, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "layer"), KINDS)
def test_gradients_equal_torchs(kind: Any, layer: Any) -> None:
    cell, theirs = cell_and_layer(kind, layer)
    x = random(2, 6, D)
    unroll(cell, x)[0].square().sum().backward()
    theirs(x)[0].square().sum().backward()
    for name, weight in cell.named_parameters():
        torch.testing.assert_close(weight.grad, getattr(theirs, f"{name}_l0").grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("kind", "torch_kind"), [(GRUCell, nn.GRUCell), (LSTMCell, nn.LSTMCell)])
def test_weights_are_torchs_and_torchs_cells_unroll_too(kind: Any, torch_kind: Any) -> None:
    theirs = torch_kind(D, H)
    ours = kind(D, H, generator())
    ours.load_state_dict(theirs.state_dict())
    x = random(2, 4, D, dtype=torch.float32)
    torch.testing.assert_close(unroll(ours, x)[0], unroll(theirs, x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "layer"), KINDS)
def test_first_weights_are_uniform_and_the_generators(kind: Any, layer: Any) -> None:
    before = torch.random.get_rng_state()
    first, again = (kind(64, 100, generator(4)) for _ in range(2))
    assert torch.random.get_rng_state().equal(before)
    for name, weight in first.named_parameters():
        assert weight.equal(again.get_parameter(name))
        assert weight.abs().max() <= 0.1
        assert weight.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("kind", [RNNCell, GRUCell, LSTMCell])
def test_an_empty_batch_stays_empty(kind: Any) -> None:
    states, _ = unroll(kind(D, H, generator()), torch.zeros(0, 4, D))
    assert states.shape == (0, 4, H)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_bidirectional_equals_torchs(kind: str) -> None:
    cells = [globals()[kind + "Cell"](3, 4, generator(seed)) for seed in (1, 2)]
    layer = getattr(nn, kind)(3, 4, batch_first=True, bidirectional=True)
    layer.load_state_dict({
        f"{name}_l0{end}": weight
        for cell, end in zip(cells, ("", "_reverse"), strict=True)
        for name, weight in cell.state_dict().items()
    })  # fmt: skip
    for shape in ((1, 1, 3), (2, 7, 3), (0, 2, 3)):
        x = torch.randn(*shape, generator=generator(3))
        torch.testing.assert_close(bidirectional(*cells, x), layer(x)[0], rtol=0, atol=1e-6)


def test_bidirectional_reads_both_sides_once() -> None:
    def total(x: Tensor, h: Tensor | None = None) -> Tensor:
        return x if h is None else x + h

    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    assert bidirectional(total, total, x).tolist() == [[[1.0, 7.0], [3.0, 6.0], [7.0, 4.0]]]
    with pytest.raises(ValueError, match="at least one step"):
        bidirectional(total, total, x[:, :0])


def test_step_jacobian_of_the_lstms_cell_is_its_forget_gate() -> None:
    cell = LSTMCell(D, H, generator()).double()
    x, h, c = random(1, D), random(1, H), random(1, H, seed=2)
    jacobian = torch.func.jacrev(lambda c: cell(x, (h, c))[1])(c)[0, :, 0]
    sums = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(h, cell.weight_hh, cell.bias_hh)
    torch.testing.assert_close(jacobian, torch.diag(sums[0, H : 2 * H].sigmoid()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GRUCell(0, 2, generator()), "input_size must be at least 1, got 0"),
        (lambda: LSTMCell(2, 0, generator()), "hidden_size must be at least 1, got 0"),
        (lambda: RNNCell(D, H, generator())(torch.zeros(2, 4)), r"x must have shape \(B, 3\), got \(2, 4\)"),
        (lambda: GRUCell(D, H, generator())(torch.zeros(D)), r"x must have shape \(B, 3\), got \(3,\)"),
        (
            lambda: GRUCell(D, H, generator())(torch.zeros(2, D), torch.zeros(1, H)),
            r"h must have shape \(2, 5\), got \(1, 5\)",
        ),
        (
            lambda: LSTMCell(D, H, generator())(torch.zeros(2, D), (torch.zeros(2, H), torch.zeros(2, D))),
            r"c must have shape \(2, 5\), got \(2, 3\)",
        ),
        (lambda: unroll(GRUCell(D, H, generator()), torch.zeros(2, 0, D)), "at least one step"),
        (lambda: unroll(GRUCell(D, H, generator()), torch.zeros(2, D)), r"shape \(B, T, D\)"),
    ],
)
def test_cells_refuse_bad_sizes(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# --- jacobians -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "layer"), KINDS)
def test_jacobian_norms_are_torchs_by_autograd(kind: Any, layer: Any) -> None:
    """Of torch's layer, run in two parts: by the state between them."""
    cell, theirs = cell_and_layer(kind, layer)
    x = random(6, D)
    ours = jacobian_norms(cell, x)
    assert ours.shape == (6,)
    assert not ours.requires_grad
    zeros = torch.zeros(1, 1, H, dtype=torch.float64)
    start: Any = (zeros, zeros) if kind is LSTMCell else zeros

    def last(flat: Tensor, rest: Tensor) -> Tensor:
        state: Any = flat.chunk(2, dim=-1) if kind is LSTMCell else flat
        return torch.cat(parts(theirs(rest[None], state)[1]), dim=-1)[0, 0]

    for lag in (1, 3, 6):
        before = start if lag == 6 else theirs(x[None, :-lag], start)[1]
        flat = torch.cat(parts(before), dim=-1).detach()
        jacobian = torch.autograd.functional.jacobian(lambda s, lag=lag: last(s, x[-lag:]), flat)[:, 0, 0]
        norm = torch.linalg.matrix_norm(jacobian, ord=2)
        torch.testing.assert_close(ours[lag - 1], norm, rtol=1e-9, atol=0)


def test_a_gru_that_keeps_all_has_norm_one() -> None:
    cell = GRUCell(D, H, generator()).double()
    set_gate_bias(cell, "update", 60.0)
    torch.testing.assert_close(jacobian_norms(cell, random(9, D)), torch.ones(9, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(0, D), (D,), (1, 4, D)])
def test_jacobian_norms_refuse(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(T, D\) with at least one step"):
        jacobian_norms(GRUCell(D, H, generator()), torch.zeros(shape))


# --- gate biases -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "gate"),
    [
        *((kind, gate) for kind in (nn.LSTM, nn.LSTMCell) for gate in ("input", "forget", "output")),
        *((kind, gate) for kind in (nn.GRU, nn.GRUCell) for gate in ("reset", "update")),
        (lambda d, h: LSTMCell(d, h, generator()), "forget"),
        (lambda d, h: GRUCell(d, h, generator()), "update"),
        (lambda d, h: nn.GRU(d, h, num_layers=2, bidirectional=True), "update"),
    ],
)
def test_a_gate_bias_moves_that_gate_alone(build: Any, gate: str) -> None:
    recurrent = build(D, H)
    before = {name: p.detach().clone() for name, p in recurrent.named_parameters()}
    set_gate_bias(recurrent, gate, 4.0)
    block = {"input": 0, "reset": 0, "forget": 1, "update": 1, "output": 3}[gate]
    for name, parameter in recurrent.named_parameters():
        changed = torch.ones_like(parameter, dtype=torch.bool)
        if name.startswith("bias_"):
            mine = slice(block * H, (block + 1) * H)
            assert (parameter[mine] == (4.0 if "bias_ih" in name else 0.0)).all()
            changed[mine] = False
        assert parameter[changed].equal(before[name][changed])
        assert parameter.requires_grad


@pytest.mark.parametrize(("kind", "gate"), [(nn.GRU, "update"), (nn.LSTM, "forget")])
def test_an_open_gate_keeps_the_state(kind: Any, gate: str) -> None:
    """Torch's own layer, wide open and closed: so the block that was set is the one that keeps."""
    layer = kind(D, H, batch_first=True).double()
    x, h = random(2, 1, D), random(1, 2, H, seed=2)
    start = (h, h) if kind is nn.LSTM else h
    if kind is nn.LSTM:
        set_gate_bias(layer, "input", -50.0)
    for value, wanted in ((50.0, h), (-50.0, 0 * h)):
        set_gate_bias(layer, gate, value)
        _, end = layer(x, start)
        if kind is nn.LSTM:
            torch.testing.assert_close(end[1], wanted, rtol=0, atol=1e-12)
        else:
            assert torch.allclose(end, h, rtol=0, atol=1e-12) == (value > 0)


@pytest.mark.parametrize(
    ("recurrent", "gate", "error", "message"),
    [
        (nn.RNN(D, H), "update", TypeError, "an LSTM or a GRU, got RNN"),
        (nn.LSTM(D, H), "update", ValueError, "one of input, forget, output, got 'update'"),
        (nn.GRU(D, H), "forget", ValueError, "one of reset, update, got 'forget'"),
        (nn.GRU(D, H, bias=False), "update", ValueError, "no biases"),
    ],
)
def test_gate_bias_refuses_what_has_none(recurrent: Any, gate: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        set_gate_bias(recurrent, gate, 1.0)


# --- the last valid state --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "layer"), KINDS)
def test_last_valid_equals_the_packed_final_state(kind: Any, layer: Any) -> None:
    cell, theirs = cell_and_layer(kind, layer)
    x, lengths = random(4, 7, D), torch.tensor([3, 7, 1, 5])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    _, last = theirs(packed)
    torch.testing.assert_close(last_valid(unroll(cell, x)[0], lengths), parts(last)[0][0], rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.sampled_from([torch.long, torch.int32]))
def test_last_valid_picks_one_step_and_sends_gradients_there(sizes: list[int], dtype: torch.dtype) -> None:
    states = random(len(sizes), 6, 2).requires_grad_()
    found = last_valid(states, torch.tensor(sizes, dtype=dtype))
    assert found.equal(torch.stack([states[b, n - 1] for b, n in enumerate(sizes)]))
    found.sum().backward()
    assert states.grad is not None
    wanted = torch.zeros(len(sizes), 6, 2)
    for b, n in enumerate(sizes):
        wanted[b, n - 1] = 1
    assert states.grad.equal(wanted.double())


@pytest.mark.parametrize(
    ("states", "lengths", "error", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([1, 1]), ValueError, r"states must have shape \(B, T, H\)"),
        (torch.zeros(2, 3, 4), torch.tensor([1.0, 1.0]), TypeError, "whole numbers, got torch.float32"),
        (torch.zeros(2, 3, 4), torch.tensor([True, True]), TypeError, "whole numbers, got torch.bool"),
        (torch.zeros(2, 3, 4), torch.tensor([1]), ValueError, r"shape \(2,\), got \(1,\)"),
        (torch.zeros(2, 3, 4), torch.tensor([0, 3]), ValueError, "from 1 to 3, got 0 to 3"),
        (torch.zeros(2, 3, 4), torch.tensor([1, 4]), ValueError, "from 1 to 3, got 1 to 4"),
    ],
)
def test_last_valid_refuses(states: Tensor, lengths: Tensor, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        last_valid(states, lengths)


def test_last_valid_of_no_sequences() -> None:
    assert last_valid(torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.long)).shape == (0, 4)


# --- scan ------------------------------------------------------------------------------------------------


def looped(a: Tensor, b: Tensor) -> Tensor:
    h, states = torch.zeros_like(b[:, 0]), []
    for t in range(b.size(1)):
        h = a[:, t] * h + b[:, t]
        states.append(h)
    return torch.stack(states, dim=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(0, 1000))
def test_scan_equals_the_loop(T: int, seed: int) -> None:
    a, b = random(2, T, 3, seed=seed).tanh(), random(2, T, 3, seed=seed + 1)
    torch.testing.assert_close(linear_scan(a, b), looped(a, b), rtol=0, atol=1e-12)


def test_scan_solves_the_bidiagonal_system() -> None:
    """h_t − a_t h_{t−1} = b_t."""
    a, b = random(1, 33), random(1, 33, seed=2)
    system = torch.eye(33, dtype=torch.float64) - torch.diag(a[0, 1:], -1)
    solved = torch.linalg.solve_triangular(system, b[0, :, None], upper=False, unitriangular=True)
    torch.testing.assert_close(linear_scan(a, b)[0], solved[:, 0])


def test_scan_has_the_loops_gradients_and_takes_zeros() -> None:
    a, b = random(2, 13, 3).requires_grad_(), random(2, 13, 3, seed=2).requires_grad_()
    for scan in (linear_scan, looped):
        kept = a * (torch.arange(13) % 4 > 0)[:, None]  # forgets all now and then: no division by a
        gradients = torch.autograd.grad(scan(kept, b).square().sum(), (a, b))
        if scan is linear_scan:
            ours = gradients
    for mine, its in zip(ours, gradients, strict=True):
        torch.testing.assert_close(mine, its)


def test_scan_joins_in_logarithmically_many_rounds() -> None:
    """Counted as elementwise products: three a level of the recursion."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count += function is torch.ops.aten.mul.Tensor
            return function(*args, **(kwargs or {}))

    for T in (2, 16, 1024):
        a = random(1, T)
        with Products() as products:
            linear_scan(a, a)
        assert products.count == 3 * math.log2(T)


def test_scan_leaves_its_inputs_alone() -> None:
    a, b = random(1, 9), random(1, 9, seed=2)
    kept = a.clone(), b.clone()
    linear_scan(a, b)
    linear_scan(a[:, :1], b[:, :1]).zero_()  # one step: a copy of b, not b itself
    assert a.equal(kept[0]) and b.equal(kept[1])


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (torch.zeros(1, 3), torch.zeros(1, 4), ValueError, "one shape"),
        (torch.zeros(3), torch.zeros(3), ValueError, r"shape \(B, T, …\)"),
        (torch.zeros(2, 0, 1), torch.zeros(2, 0, 1), ValueError, "at least one step"),
        (torch.zeros(1, 3), torch.zeros(1, 3).double(), TypeError, "one dtype"),
    ],
)
def test_scan_refuses(a: Tensor, b: Tensor, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        linear_scan(a, b)
