"""The encoder–decoder: layers against cells, padding, the one vector between its halves, greedy decoding."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.architectures.attention import AdditiveAttention, LuongAttention
from lmprep.architectures.rnn import GRUCell, unroll
from lmprep.architectures.seq2seq import Encoded, Seq2Seq, Seq2SeqConfig, shift_right

V, H, C = 11, 8, 3
BOS, EOS = 9, 10


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(seed: int = 0, **sizes: int) -> Seq2Seq:
    config = Seq2SeqConfig(**({"vocab_size": V, "width": H, "summary_width": C} | sizes))
    return Seq2Seq(config, generator(seed)).double().eval()


def random_ids(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(BOS, shape, generator=generator(seed))


def by_cells(model: Seq2Seq, source: Tensor, target_in: Tensor, cell_type: Any) -> Tensor:
    """Logits (T, V) of one pair, from torch's or our GRU cells, a token at a time."""

    def cell(layer: nn.GRU) -> nn.Module:
        made = cell_type().double()
        made.load_state_dict({name.removesuffix("_l0"): w for name, w in layer.state_dict().items()})
        return made

    h = torch.zeros(1, H, dtype=torch.float64)
    encoder, decoder = cell(model.encoder), cell(model.decoder)
    for token in source:
        h = encoder(model.tokens.weight[token][None], h)
    summary = torch.tanh(h @ model.squeeze.weight.mT + model.squeeze.bias)
    h = torch.tanh(summary @ model.unfold.weight.mT + model.unfold.bias)
    logits = []
    for token in target_in:
        h = decoder(model.tokens.weight[token][None], h)
        logits.append(h @ model.head.weight.mT + model.head.bias)
    return torch.cat(logits)


# --- reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell_type",
    [lambda: nn.GRUCell(H, H), lambda: GRUCell(H, H, generator())],
    ids=["torch.nn.GRUCell", "GRUCell"],
)
@pytest.mark.parametrize("lengths", [(1,), (4, 2, 5)])
def test_equals_unrolled_cells(lengths: tuple[int, ...], cell_type: Any) -> None:
    m, B, S = model(), len(lengths), max(lengths)
    source, target_in = random_ids(B, S), random_ids(B, 6, seed=2)
    with torch.no_grad():
        logits = m(source, target_in, torch.tensor(lengths))
        for b, n in enumerate(lengths):
            one = by_cells(m, source[b, :n], target_in[b], cell_type)
            torch.testing.assert_close(logits[b], one, rtol=0, atol=1e-12)
    assert logits.shape == (B, 6, V) and logits.std() > 0.01


def test_encoder_equals_torchs_packed_sequences() -> None:
    m, lengths = model(), torch.tensor([3, 5, 1])
    source = random_ids(3, 5)
    packed = nn.utils.rnn.pack_padded_sequence(
        m.tokens(source), lengths, batch_first=True, enforce_sorted=False
    )
    _, last = m.encoder(packed)  # (1, B, H)
    summary = m.encode(source, lengths).summary
    torch.testing.assert_close(summary, torch.tanh(m.squeeze(last[0])), rtol=0, atol=1e-12)


def test_encoded_states_are_the_unrolled_cells() -> None:
    m, source = model(), random_ids(2, 4)
    cell = GRUCell(H, H, generator()).double()
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in m.encoder.state_dict().items()})
    states, _ = unroll(cell, m.tokens(source))
    torch.testing.assert_close(m.encode(source).states, states, rtol=0, atol=1e-12)


# --- properties ------------------------------------------------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 3), st.integers(0, 99))
def test_padding_changes_nothing(B: int, S: int, extra: int, seed: int) -> None:
    m, lengths = model(), torch.randint(1, S + 1, (B,), generator=generator(seed))
    source, target_in = random_ids(B, S + extra, seed=seed), random_ids(B, 3)
    other = torch.where(torch.arange(S + extra) < lengths[:, None], source, (source + 1) % V)
    torch.testing.assert_close(m(source, target_in, lengths), m(other, target_in, lengths))


def test_no_output_depends_on_later_targets() -> None:
    m, source, target_in = model(), random_ids(2, 4), random_ids(2, 6)
    later = target_in.clone()
    later[:, 4:] = (later[:, 4:] + 1) % V
    torch.testing.assert_close(m(source, target_in)[:, :4], m(source, later)[:, :4])
    assert not torch.equal(m(source, target_in)[:, 4], m(source, later)[:, 4])


def test_everything_passes_through_the_summary() -> None:
    m, target_in = model(), random_ids(2, 3)
    one, other = (m.encode(random_ids(2, 4, seed=seed)) for seed in (5, 6))
    mixed = Encoded(one.states, one.lengths, other.summary)
    torch.testing.assert_close(m.decode(target_in, mixed)[0], m.decode(target_in, other)[0])


def test_decoding_in_pieces_continues_the_state() -> None:
    m, target_in = model(), random_ids(2, 5)
    encoded = m.encode(random_ids(2, 4))
    first, state = m.decode(target_in[:, :2], encoded)
    second, _ = m.decode(target_in[:, 2:], encoded, state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), m.decode(target_in, encoded)[0])


def test_summary_width_changes_no_other_first_weight() -> None:
    narrow, wide = model().state_dict(), model(summary_width=40).state_dict()
    same = [name for name in narrow if not name.startswith(("squeeze", "unfold"))]
    assert all(torch.equal(narrow[name], wide[name]) for name in same)
    assert wide["squeeze.weight"].shape == (40, H)


def test_first_weights_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, same, other = model(3), model(3), model(4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert one.head.weight.abs().max() <= 1 / math.sqrt(H)
    assert one.tokens.weight.std() > 0.8


# --- attention -------------------------------------------------------------------------------------------


def attending(seed: int = 0, attend: nn.Module | None = None) -> Seq2Seq:
    config = Seq2SeqConfig(vocab_size=V, width=H, summary_width=C)
    return Seq2Seq(config, generator(seed), LuongAttention(H) if attend is None else attend).double().eval()


def test_attention_stands_between_gru_and_head() -> None:
    m, lengths = attending(), torch.tensor([2, 5])
    source, target_in = random_ids(2, 5), random_ids(2, 3, seed=2)
    encoded = m.encode(source, lengths)
    x, _ = m.decoder(m.tokens(target_in), torch.tanh(m.unfold(encoded.summary))[None])
    visible = torch.arange(5) < lengths[:, None, None]
    context = nn.functional.scaled_dot_product_attention(
        x, encoded.states, encoded.states, attn_mask=visible, scale=1.0
    )
    logits = torch.cat([x, context], dim=-1) @ m.head.weight.mT + m.head.bias
    torch.testing.assert_close(m(source, target_in, lengths), logits, rtol=0, atol=1e-12)


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 3), st.integers(0, 99))
def test_attention_does_not_see_padding(B: int, S: int, extra: int, seed: int) -> None:
    m, lengths = (
        attending(attend=AdditiveAttention(H)),
        torch.randint(1, S + 1, (B,), generator=generator(seed)),
    )
    source, target_in = random_ids(B, S + extra, seed=seed), random_ids(B, 3)
    other = torch.where(torch.arange(S + extra) < lengths[:, None], source, (source + 1) % V)
    torch.testing.assert_close(m(source, target_in, lengths), m(other, target_in, lengths))


def test_attention_passes_around_the_summary() -> None:
    m, target_in = attending(), random_ids(2, 3)
    one, other = (m.encode(random_ids(2, 4, seed=seed)) for seed in (5, 6))
    mixed = Encoded(one.states, one.lengths, other.summary)
    assert not torch.allclose(m.decode(target_in, mixed)[0], m.decode(target_in, other)[0])


def test_an_attentions_weights_come_from_the_generator_too() -> None:
    one, same = (attending(3, AdditiveAttention(H)).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    plain = model(3).state_dict()
    assert torch.equal(one["decoder.weight_hh_l0"], plain["decoder.weight_hh_l0"])


def test_greedy_with_attention_is_what_the_teacher_forced_model_would_say() -> None:
    m, source = attending(), random_ids(3, 4)
    written = m.greedy(source, bos=BOS, eos=EOS, max_new_tokens=5)
    best = m(source, shift_right(written, BOS)).argmax(dim=-1)
    before_eos = ((written == EOS).cumsum(1) - (written == EOS).int()) == 0
    assert torch.equal(best[before_eos], written[before_eos])


# --- decoding --------------------------------------------------------------------------------------------


def test_greedy_is_what_the_teacher_forced_model_would_say() -> None:
    m, lengths = model(), torch.tensor([2, 5, 3, 1])
    source = random_ids(4, 5)
    written = m.greedy(source, lengths, bos=BOS, eos=EOS, max_new_tokens=7)
    read = shift_right(written, BOS)
    best = m(source, read, lengths).argmax(dim=-1)
    before_eos = ((written == EOS).cumsum(1) - (written == EOS).int()) == 0
    assert torch.equal(best[before_eos], written[before_eos])
    assert not written.requires_grad


def test_greedy_stops_at_eos_and_repeats_it() -> None:
    m, source = model(), random_ids(3, 4)
    with torch.no_grad():
        m.head.bias[EOS] = 100.0
    assert m.greedy(source, bos=BOS, eos=EOS, max_new_tokens=9).tolist() == [[EOS]] * 3
    with torch.no_grad():
        m.head.bias[EOS] = -100.0
    written = m.greedy(source, bos=BOS, eos=EOS, max_new_tokens=9)
    assert written.shape == (3, 9) and not (written == EOS).any()
    assert m.greedy(source, bos=BOS, eos=EOS, max_new_tokens=0).shape == (3, 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 99))
def test_shift_right_undoes_itself(B: int, T: int, seed: int) -> None:
    targets = random_ids(B, T, seed=seed)
    shifted = shift_right(targets, BOS)
    assert shifted.shape == targets.shape and (shifted[:, 0] == BOS).all()
    assert torch.equal(shifted[:, 1:], targets[:, :-1])


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vocab_size", "width", "summary_width"])
def test_config_refuses_empty_sizes(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        model(**{name: 0})


def test_bad_input_is_named() -> None:
    m, source, target_in = model(), random_ids(2, 4), random_ids(2, 3)
    with pytest.raises(TypeError, match="long"):
        m(source.float(), target_in)
    with pytest.raises(ValueError, match="shape"):
        m(source[0], target_in)
    with pytest.raises(ValueError, match=r"source .* 0 to 10"):
        m(source + V, target_in)
    with pytest.raises(ValueError, match="target_in"):
        m(source, target_in + V)
    with pytest.raises(ValueError, match="3 sequences, encoded 2"):
        m(source, random_ids(3, 3))
    with pytest.raises(ValueError, match="lengths"):
        m(source, target_in, torch.tensor([1, 5]))
    with pytest.raises(ValueError, match="lengths"):
        m(source, target_in, torch.tensor([0, 4]))
    with pytest.raises(TypeError, match="lengths"):
        m(source, target_in, torch.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="max_new_tokens"):
        m.greedy(source, bos=BOS, eos=EOS, max_new_tokens=-1)
    with pytest.raises(ValueError, match="target_in"):
        m.greedy(source, bos=V, eos=EOS, max_new_tokens=2)


def test_shift_right_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match="bos"):
        shift_right(random_ids(2, 3), -1)
    with pytest.raises(ValueError, match="shape"):
        shift_right(random_ids(3), BOS)
    with pytest.raises(TypeError, match="long"):
        shift_right(random_ids(2, 3).int(), BOS)
