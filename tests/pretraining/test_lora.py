"""lmprep.pretraining.lora against peft, its algebra, and that nothing is left when it comes off."""

import copy
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from lmprep.architectures.transformer import GPT, GPTConfig, gpt2_weights
from lmprep.pretraining.lora import LoRALinear, add_lora, best_low_rank, remove_lora

seeds = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def adapted(
    wide: int = 6, tall: int = 4, rank: int = 3, alpha: float = 5.0, bias: bool = True, seed: int = 0
) -> LoRALinear:
    """A layer whose B is not zero."""
    layer = LoRALinear(nn.Linear(wide, tall, bias=bias, dtype=torch.float64), rank, alpha)
    with torch.no_grad():
        for index, parameter in enumerate(layer.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed + index))
    return layer


class Model(nn.Module):
    """Two blocks with equal names, and one layer that is used in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"query": nn.Linear(5, 5), "value": nn.Linear(5, 5)}) for _ in range(2)
        )
        self.first = nn.Linear(5, 5, bias=False)
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.tanh(block["query"](x)) * block["value"](x)
        return self.again(self.first(x))


def state(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def equal(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


# --- the layer -----------------------------------------------------------------------------------------


@given(
    wide=st.integers(3, 7),
    tall=st.integers(3, 7),
    rank=st.integers(1, 3),
    alpha=st.sampled_from([0.5, 4.0, 16.0]),
    bias=st.booleans(),
    seed=seeds,
)
def test_it_is_peft_with_the_same_matrices(
    wide: int, tall: int, rank: int, alpha: float, bias: bool, seed: int
) -> None:
    ours = adapted(wide, tall, rank, alpha, bias, seed % 2**31)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0"])
    theirs = get_peft_model(nn.Sequential(copy.deepcopy(ours.base)), config)
    layer = theirs.base_model.model[0]
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(ours.A)
        layer.lora_B["default"].weight.copy_(ours.B)
    x = normal(2, 3, wide, seed=seed)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-12, rtol=0)
    ours.merge()
    theirs.merge_adapter()
    torch.testing.assert_close(ours.base.weight, layer.weight, atol=1e-12, rtol=0)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_new_layer_is_its_base_bit_for_bit(dtype: torch.dtype) -> None:
    base = nn.Linear(6, 4, dtype=dtype)
    layer = LoRALinear(base, 2, 8.0)
    x = normal(3, 6).to(dtype)
    assert torch.equal(layer(x), base(x))
    assert layer.A.dtype == layer.B.dtype == dtype
    assert layer.base is base


def test_only_a_and_b_are_trained_and_counted() -> None:
    layer = LoRALinear(nn.Linear(6, 4), 2, 8.0)
    trained = {name: p.numel() for name, p in layer.named_parameters() if p.requires_grad}
    assert trained == {"A": 2 * 6, "B": 4 * 2}


def test_the_first_gradient_of_a_is_exactly_zero_and_that_of_b_is_not() -> None:
    layer = LoRALinear(nn.Linear(6, 4, dtype=torch.float64), 2, 8.0)
    x = normal(3, 6)
    output = layer(x)
    output.square().sum().backward()
    assert layer.A.grad is not None
    assert layer.B.grad is not None
    assert layer.A.grad.count_nonzero() == 0
    g = 2 * output.detach()
    torch.testing.assert_close(layer.B.grad, 4.0 * g.mT @ (x @ layer.A.detach().mT), atol=1e-12, rtol=0)
    assert layer.base.weight.grad is None


def test_gradients_are_those_of_finite_differences() -> None:
    layer = adapted()

    def output(x: Tensor, A: Tensor, B: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(layer, {"A": A, "B": B}, (x,))
        return result

    leaves = (
        normal(2, 6).requires_grad_(),
        layer.A.detach().requires_grad_(),
        layer.B.detach().requires_grad_(),
    )
    assert torch.autograd.gradcheck(output, leaves)


@given(rank=st.integers(1, 3), seed=seeds)
def test_the_update_has_at_most_the_given_rank(rank: int, seed: int) -> None:
    layer = adapted(rank=rank, seed=seed % 2**31)
    assert torch.linalg.matrix_rank(layer.update()) <= rank


def test_a_has_variance_one_over_its_width_and_follows_the_generator() -> None:
    base = nn.Linear(400, 300)
    first, second = (LoRALinear(base, 50, 1.0, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.A, second.A)
    assert first.A.std().item() == pytest.approx(1 / 20, rel=0.05)


@given(steps=st.lists(st.sampled_from(["merge", "unmerge"]), max_size=6), seed=seeds)
def test_any_order_of_merging_keeps_the_output_and_unmerging_restores_every_bit(
    steps: list[str], seed: int
) -> None:
    layer = adapted(seed=seed % 2**31)
    x, weight = normal(3, 6, seed=seed), layer.base.weight.clone()
    expected = layer(x)
    for step in steps:
        getattr(layer, step)()
        torch.testing.assert_close(layer(x), expected, atol=1e-12, rtol=0)
    if not steps or steps[-1] == "unmerge":
        assert torch.equal(layer.base.weight, weight)
    else:
        torch.testing.assert_close(layer.base.weight, weight + layer.update(), atol=1e-12, rtol=0)
    layer.unmerge()
    assert torch.equal(layer.base.weight, weight)


def test_unmerging_by_subtraction_would_not_restore_every_bit() -> None:
    """Why a copy is kept."""
    layer = adapted(64, 64)
    before = layer.base.weight.clone()
    layer.merge()
    assert not torch.equal(layer.base.weight - layer.update(), before)


def test_unmerging_forgets_what_happened_to_a_and_b_while_merged() -> None:
    layer = adapted()
    before = layer.base.weight.clone()
    layer.merge()
    with torch.no_grad():
        layer.B.mul_(3)
    layer.unmerge()
    assert torch.equal(layer.base.weight, before)


def test_a_copy_of_a_merged_layer_can_be_unmerged() -> None:
    layer = adapted()
    before = layer.base.weight.clone()
    layer.merge()
    twin = copy.deepcopy(layer)
    twin.unmerge()
    assert torch.equal(twin.base.weight, before)
    assert not torch.equal(layer.base.weight, before)


@pytest.mark.parametrize(
    ("rank", "alpha", "says"),
    [(0, 1.0, "rank"), (5, 1.0, "rank"), (2, 0.0, "alpha"), (2, math.inf, "alpha"), (2, math.nan, "alpha")],
)
def test_numbers_out_of_range_are_named(rank: int, alpha: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LoRALinear(nn.Linear(6, 4), rank, alpha)


def test_a_base_that_is_not_linear_is_refused() -> None:
    with pytest.raises(TypeError, match=r"nn\.Linear"):
        LoRALinear(nn.Embedding(3, 4), 1, 1.0)  # type: ignore[arg-type]


# --- a model -------------------------------------------------------------------------------------------


def test_added_layers_change_nothing_at_first_and_removal_restores_every_bit() -> None:
    model = Model()
    before, x = state(model), normal(3, 5).float()
    output = model(x)
    parameters = add_lora(model, ["query", "value"], rank=2, alpha=4.0)
    assert len(parameters) == 8
    assert torch.equal(model(x), output)
    for _ in range(3):
        optimizer = torch.optim.Adam(parameters, 0.1)
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    assert not torch.allclose(model(x), output)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.merge()
    remove_lora(model)
    assert equal(before, model.state_dict())
    assert torch.equal(model(x), output)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_names_are_the_last_parts_of_qualified_names() -> None:
    model = Model()
    add_lora(model, ["1.query"], rank=1, alpha=1.0)
    wrapped = [name for name, module in model.named_modules() if isinstance(module, LoRALinear)]
    assert wrapped == ["blocks.1.query"]


def test_a_layer_used_twice_gets_one_adapter_in_both_places() -> None:
    model = Model()
    parameters = add_lora(model, ["first", "again"], rank=1, alpha=1.0)
    assert len(parameters) == 2
    assert model.first is model.again
    remove_lora(model)
    assert model.first is model.again
    assert isinstance(model.first, nn.Linear)


def test_removal_gives_back_the_requires_grad_that_was_there() -> None:
    model = Model()
    model.blocks[0].requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    add_lora(model, ["query", "first"], rank=1, alpha=1.0)
    remove_lora(model)
    assert [parameter.requires_grad for parameter in model.parameters()] == before


def test_removing_from_a_model_without_adapters_does_nothing() -> None:
    model = Model()
    before = state(model)
    remove_lora(model)
    assert equal(before, model.state_dict())


def test_a_model_may_be_adapted_again_after_removal() -> None:
    model = Model()
    for rank in (1, 2):
        add_lora(model, ["query"], rank=rank, alpha=1.0)
        remove_lora(model)
    assert not any(isinstance(module, LoRALinear) for module in model.modules())


@pytest.mark.parametrize("names", [["key"], ["query", "key"], ["uery"], ["blocks"]])
def test_names_that_fit_nothing_are_refused_before_anything_changes(names: list[str]) -> None:
    model = Model()
    with pytest.raises(ValueError, match=names[-1]):
        add_lora(model, names, rank=1, alpha=1.0)
    assert not any(isinstance(module, LoRALinear) for module in model.modules())


def test_a_layer_is_not_wrapped_twice() -> None:
    model = Model()
    add_lora(model, ["query"], rank=1, alpha=1.0)
    for name in ("query", "base"):
        with pytest.raises(ValueError, match=name):
            add_lora(model, [name], rank=1, alpha=1.0)


def test_one_string_is_no_list_of_names() -> None:
    with pytest.raises(TypeError, match="list"):
        add_lora(Model(), "query", rank=1, alpha=1.0)


# --- a language model, against peft on transformers' GPT-2 -----------------------------------------------


@pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)  # peft asks transformers for it
def test_an_adapted_gpt_is_peft_on_transformers_gpt2() -> None:
    """GPT-2 stores its matrices as (in, out): `fan_in_fan_out`, and ΔW is (B A)ᵀ there."""
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions": 9, "n_embd": 12, "n_layer": 2, "n_head": 3}
    settings = GPT2Config(vocab_size=17, **sizes, bos_token_id=0, eos_token_id=0)
    theirs = GPT2LMHeadModel(settings).double().eval()
    config = GPTConfig(
        vocab_size=17, context_length=9, width=12, num_layers=2, num_heads=3, activation="gelu_tanh"
    )
    ours = GPT(config, torch.Generator()).double()
    ours.load_state_dict(gpt2_weights(theirs.state_dict()))
    ids = torch.randint(17, (3, 9), generator=torch.Generator().manual_seed(1))
    before = ours(ids)

    names = ["attention.qkv", "attention.output", "mlp.input", "mlp.output"]
    parameters = add_lora(ours, names, rank=2, alpha=5.0)
    assert torch.equal(ours(ids), before)
    lora = LoraConfig(
        r=2,
        lora_alpha=5,
        target_modules=["c_attn", "c_proj", "c_fc"],
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
    )
    peft = get_peft_model(theirs, lora).eval()
    torch.testing.assert_close(peft(ids).logits, before, atol=1e-12, rtol=0)
    adapters = [module for module in ours.modules() if isinstance(module, LoRALinear)]
    layers = [module for module in peft.modules() if hasattr(module, "lora_A")]
    assert len(parameters) == 2 * len(adapters) == 2 * len(layers) == 16
    with torch.no_grad():
        for number, (adapter, layer) in enumerate(zip(adapters, layers, strict=True)):
            adapter.B.copy_(normal(*adapter.B.shape, seed=number))
            layer.lora_A["default"].weight.copy_(adapter.A)
            layer.lora_B["default"].weight.copy_(adapter.B)
    adapted = ours(ids)
    assert not torch.allclose(adapted, before, atol=1e-3)
    torch.testing.assert_close(adapted, peft(ids).logits, atol=1e-10, rtol=0)
    for adapter in adapters:
        adapter.merge()
    peft.merge_adapter()
    torch.testing.assert_close(ours(ids), adapted, atol=1e-10, rtol=0)
    torch.testing.assert_close(ours(ids), peft(ids).logits, atol=1e-10, rtol=0)
    torch.testing.assert_close(adapters[0].base.weight.mT, layers[0].base_layer.weight, atol=1e-12, rtol=0)


def test_an_adapter_has_the_sizes_of_its_base() -> None:
    layer = adapted(wide=6, tall=4)
    assert (layer.in_features, layer.out_features) == (6, 4)


# --- the best change of a given rank ---------------------------------------------------------------------


def problem(wide: int, tall: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A change, correlated inputs (N, in) of uneven size, and their second moment."""
    x = (
        normal(40, wide, seed=seed)
        @ normal(wide, wide, seed=seed + 1)
        * torch.linspace(0.2, 3, wide).double()
    )
    return normal(tall, wide, seed=seed + 2), x, x.mT @ x / len(x)


def lost(change: Tensor, A: Tensor, B: Tensor, x: Tensor) -> float:
    return (x @ (change - B @ A).mT).square().sum().item() / len(x)


@settings(max_examples=20)
@given(wide=st.integers(3, 7), tall=st.integers(3, 7), rank=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_the_best_cut_is_the_weighted_svd_and_loses_its_tail(
    wide: int, tall: int, rank: int, seed: int
) -> None:
    change, x, C = problem(wide, tall, seed)
    A, B = best_low_rank(change, rank, C)
    assert A.shape == (rank, wide)
    assert B.shape == (tall, rank)
    root = np.real(scipy.linalg.sqrtm(C.numpy()))
    U, s, V = np.linalg.svd(change.numpy() @ root)
    expected = (U[:, :rank] * s[:rank]) @ V[:rank] @ scipy.linalg.inv(root)
    np.testing.assert_allclose((B @ A).numpy(), expected, atol=1e-6 * s[0])
    assert lost(change, A, B, x) == pytest.approx((s[rank:] ** 2).sum(), rel=1e-6, abs=1e-9)


@settings(max_examples=20)
@given(rank=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_nothing_of_that_rank_loses_less(rank: int, seed: int) -> None:
    change, x, C = problem(6, 5, seed)
    A, B = best_low_rank(change, rank, C)
    least = lost(change, A, B, x)
    U, s, V = torch.linalg.svd(change)
    assert least <= lost(change, s[:rank, None] * V[:rank], U[:, :rank], x) + 1e-9
    for number in range(20):
        size = 10.0 ** -(number % 5)
        near = (part + size * normal(*part.shape, seed=seed + number) for part in (A, B))
        assert least <= lost(change, *near, x) + 1e-9


@settings(max_examples=20)
@given(wide=st.integers(3, 7), tall=st.integers(3, 7), rank=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_for_white_inputs_it_is_the_truncated_svd(wide: int, tall: int, rank: int, seed: int) -> None:
    change = normal(tall, wide, seed=seed)
    U, s, V = torch.linalg.svd(change)
    expected = U[:, :rank] * s[:rank] @ V[:rank]
    for moment in (None, torch.eye(wide), 7 * torch.eye(wide).double()):
        A, B = best_low_rank(change, rank, moment)
        torch.testing.assert_close(B @ A, expected, atol=1e-8, rtol=0)


def test_two_by_two_by_hand() -> None:
    change, C = torch.diag(torch.tensor([2.0, 1.0])), torch.diag(torch.tensor([1.0, 100.0]))
    A, B = best_low_rank(change, 1)
    torch.testing.assert_close(B @ A, torch.diag(torch.tensor([2.0, 0.0])))
    A, B = best_low_rank(change, 1, C)
    torch.testing.assert_close(B @ A, torch.diag(torch.tensor([0.0, 1.0])))


def test_the_full_rank_gives_the_change_back_and_the_dtype_stays() -> None:
    change = normal(4, 6).float()
    A, B = best_low_rank(change, 4, torch.zeros(6, 6))  # no inverse is needed
    assert A.dtype == B.dtype == torch.float32
    torch.testing.assert_close(B @ A, change)
    torch.testing.assert_close(B.mT @ B, torch.eye(4))


@pytest.mark.parametrize(
    ("change", "rank", "moment", "says"),
    [
        (torch.ones(3), 1, None, "change"),
        (torch.full((2, 3), math.nan), 1, None, "change"),
        (torch.ones(2, 3, dtype=torch.long), 1, None, "change"),
        (torch.ones(2, 3), 0, None, "rank"),
        (torch.ones(2, 3), 3, None, "rank"),
        (torch.ones(2, 3), 1, torch.eye(2), "second_moment"),
        (torch.ones(2, 3), 1, torch.full((3, 3), math.inf), "second_moment"),
        (torch.ones(2, 3), 1, torch.ones(3, 3).triu(), "symmetric"),
    ],
)
def test_bad_input_to_the_best_cut_is_named(
    change: Tensor, rank: int, moment: Tensor | None, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        best_low_rank(change, rank, moment)
