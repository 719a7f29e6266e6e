"""The LSTM language model against LSTM cells unrolled by hand, and its state across calls."""

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
from lmprep.architectures.rnn import LSTMConfig, LSTMLanguageModel
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
