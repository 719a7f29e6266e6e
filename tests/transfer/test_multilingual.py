"""lmprep.transfer.multilingual against closed forms, torch layers and the installed encoder's own pieces."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmprep.training.optim import Adam
from lmprep.transfer.multilingual import (
    ByteModels,
    byte_windows,
    draw_lines,
    encoder_pieces,
    fertility,
    temperature_mix,
)

some_sizes = st.lists(st.integers(0, 10**30), min_size=1, max_size=6).filter(any)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Shares.


@given(some_sizes)
def test_alpha_one_keeps_the_natural_shares(sizes: list[int]) -> None:
    want = [float(Fraction(size, sum(sizes))) for size in sizes]
    assert temperature_mix(sizes, 1.0) == pytest.approx(want, rel=1e-12)


@given(some_sizes)
def test_alpha_zero_is_equal_among_those_with_text(sizes: list[int]) -> None:
    some = sum(size > 0 for size in sizes)
    want = [1 / some if size else 0.0 for size in sizes]
    assert temperature_mix(sizes, 0) == pytest.approx(want, rel=1e-12)


@given(some_sizes, st.floats(0.01, 3))
def test_shares_sum_to_one_and_keep_the_order(sizes: list[int], alpha: float) -> None:
    p = temperature_mix(sizes, alpha)
    assert p.sum() == pytest.approx(1)
    assert (np.diff(p[np.argsort(sizes, kind="stable")]) >= 0).all()
    assert (p[np.array([size == 0 for size in sizes])] == 0).all()


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=6), st.floats(0, 3))
def test_shares_are_a_softmax_of_log_sizes(sizes: list[int], alpha: float) -> None:
    logs = torch.tensor(sizes, dtype=torch.float64).log()
    assert temperature_mix(sizes, alpha) == pytest.approx(torch.softmax(alpha * logs, 0).numpy(), rel=1e-9)


def test_shares_by_hand() -> None:
    assert temperature_mix([1, 16, 81], 0.25) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert temperature_mix([1e300, 1e-300], 2.0) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("sizes", [[], [0, 0], [1, -1], [1, math.nan], [math.inf, 1]])
def test_sizes_must_be_usable(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="sizes must be"):
        temperature_mix(sizes, 0.3)


@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf])
def test_alpha_must_be_usable(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be"):
        temperature_mix([1, 2], alpha)


# Fertility.


def test_fertility_by_hand() -> None:
    assert fertility(str.split, ["one two", "three"]) == (1.5, 3 / 12)
    assert fertility(str.encode, ["中文"]) == (6, 3)


def test_fertility_wants_texts() -> None:
    with pytest.raises(TypeError, match="list of strings"):
        fertility(str.split, "one two")
    for texts in ([], ["", ""]):
        with pytest.raises(ValueError, match="must hold a character"):
            fertility(str.split, texts)


def test_the_encoders_pieces_spell_the_text() -> None:
    pieces = encoder_pieces()
    for text in ("Open the workspace", "打开工作区"):
        found = pieces(text)
        assert "".join(found).replace("▁", " ").strip() == text
    assert pieces("工作") == ["▁", "工作"]


# Drawing lines.


@given(st.lists(st.text("ab中", max_size=5), min_size=1, max_size=6), st.floats(-5, 200), st.integers(0, 99))
def test_lines_fill_the_budget_evenly(lines: list[str], num_bytes: float, seed: int) -> None:
    drawn = draw_lines(lines, num_bytes, np.random.default_rng(seed))
    sizes = [len(line.encode()) + 1 for line in drawn]
    assert sum(sizes) >= num_bytes
    assert not sizes or sum(sizes[:-1]) < num_bytes
    whole = len(drawn) // len(lines) * len(lines)
    for begin in range(0, whole, len(lines)):
        assert sorted(drawn[begin : begin + len(lines)]) == sorted(lines)


def test_lines_are_drawn_in_random_order_by_the_generator() -> None:
    lines = [str(number) for number in range(50)]
    first, again, other = (draw_lines(lines, 100, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_drawing_wants_lines_and_a_budget() -> None:
    for lines, num_bytes in (([], 5), (["a"], math.inf), (["a"], math.nan)):
        with pytest.raises(ValueError, match="num_bytes finite"):
            draw_lines(lines, num_bytes, np.random.default_rng(0))


# Byte models.


def test_windows_by_hand() -> None:
    x, y = byte_windows("abc中", 2)
    assert [bytes(row) for row in x.tolist()] == [b"ab", b"bc", b"c\xe4", b"\xe4\xb8"]
    assert bytes(y.tolist()) == "c中".encode()
    for context in (0, 6):
        with pytest.raises(ValueError, match="context must be"):
            byte_windows("abc中", context)


def test_one_run_is_torchs_layers() -> None:
    model = ByteModels(2, 3, width=4, hidden=5, generator=generator())
    for weights in model.parameters():
        nn.init.normal_(weights, generator=generator(weights.numel()))
    x = torch.randint(256, (2, 7, 3), generator=generator(1))
    for run in range(2):
        hidden, output = nn.Linear(12, 5), nn.Linear(5, 256)
        hidden.weight.data, hidden.bias.data = model.hidden[run].T, model.hidden_bias[run, 0]
        output.weight.data, output.bias.data = model.output[run].T, model.output_bias[run, 0]
        want = output(hidden(nn.functional.embedding(x[run], model.vectors[run]).flatten(1)).relu())
        torch.testing.assert_close(model(x)[run], want)


def test_untrained_models_guess_evenly() -> None:
    model = ByteModels(3, 2, generator=generator())
    x, y = byte_windows("some text", 2)
    bits = model.bits(x.expand(3, -1, -1), y.expand(3, -1))
    torch.testing.assert_close(bits, torch.full((3,), 8.0))


def trained(x: torch.Tensor, y: torch.Tensor) -> ByteModels:
    model = ByteModels(len(x), 2, width=3, hidden=4, generator=generator())
    optimizer = Adam(model.parameters(), 0.05)
    for _ in range(5):
        optimizer.zero_grad()
        model.bits(x, y).sum().backward()
        optimizer.step()
    return model


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 999))
def test_runs_side_by_side_go_as_alone(seed: int) -> None:
    x = torch.randint(256, (3, 6, 2), generator=generator(seed))
    y = torch.randint(256, (3, 6), generator=generator(seed + 1))
    together = trained(x, y)
    for run in range(3):
        alone = trained(x[run : run + 1], y[run : run + 1])
        for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours[run], theirs[0])


def test_byte_models_want_sizes_and_shapes() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ByteModels(2, 0, generator=generator())
    model = ByteModels(2, 3, generator=generator())
    for shape in ((2, 5), (1, 5, 3), (2, 5, 4)):
        with pytest.raises(ValueError, match="x must be"):
            model(torch.zeros(shape, dtype=torch.long))
    x = torch.zeros(2, 5, 3, dtype=torch.long)
    for wrong in (-1, 256):  # another run's vectors
        with pytest.raises(ValueError, match="0 to 255"):
            model(x + wrong)
    with pytest.raises(ValueError, match="y must be"):
        model.bits(x, torch.zeros(5, 2, dtype=torch.long))
