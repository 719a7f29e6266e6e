"""lmprep.architectures.transformer against transformers' GPT-2, Llama and BERT and torch's encoder layer."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lmprep.architectures.transformer import (
    GPT,
    Block,
    Encoder,
    EncoderConfig,
    GPTConfig,
    TransformerConfig,
    count_params,
    flops_per_token,
    gpt2_weights,
)
from lmprep.pretraining.minilm import from_bert

V, T, D, L, H = 31, 12, 16, 2, 4
GPT2 = GPTConfig(vocab_size=V, context_length=T, width=D, num_layers=L, num_heads=H, activation="gelu_tanh")
BERT = EncoderConfig(vocab_size=V, context_length=T, width=D, num_layers=L, num_heads=H, mlp_width=24)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_ids(B: int = 3, length: int = T, seed: int = 1) -> Tensor:
    return torch.randint(V, (B, length), generator=generator(seed))


def spread(model: nn.Module, seed: int = 0) -> Any:
    """Move every parameter, biases and norms too, so that each one matters."""
    source = generator(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=source))
    return model.eval()


@pytest.fixture(scope="module")
def hub() -> Any:
    import transformers

    return transformers


@pytest.fixture(scope="module")
def gpt2(hub: Any) -> Callable[..., Any]:
    def build(**changes: Any) -> Any:
        settings = {"vocab_size": V, "n_positions": T, "n_embd": D, "n_layer": L, "n_head": H,
                    "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip
        return spread(hub.GPT2LMHeadModel(hub.GPT2Config(**(settings | changes))))

    return build


def copied(config: GPTConfig, reference: Any) -> GPT:
    ours = GPT(config, generator())
    ours.load_state_dict(gpt2_weights(reference.state_dict()))
    return ours.eval()


# --- GPT -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("tied", [True, False])
def test_gpt_is_transformers_gpt2(gpt2: Callable[..., Any], kernel: str, tied: bool) -> None:
    reference = gpt2(attn_implementation=kernel, tie_word_embeddings=tied)
    ours = copied(replace(GPT2, tied_head=tied), reference)
    ids = some_ids()
    with torch.no_grad():
        expected = reference(ids).logits
        torch.testing.assert_close(ours(ids), expected, atol=1e-5, rtol=0)
        logits, weights = ours(ids, return_weights=True)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1
    if kernel == "eager":
        maps = torch.stack(reference(ids, output_attentions=True).attentions).detach()
        torch.testing.assert_close(weights, maps, atol=1e-6, rtol=0)


def test_gpt_has_gpt2s_gradients(gpt2: Callable[..., Any]) -> None:
    reference = gpt2(tie_word_embeddings=False)
    ours = copied(replace(GPT2, tied_head=False), reference)
    ids = some_ids()
    for model, logits in ((ours, ours(ids)), (reference, reference(ids).logits)):
        model.zero_grad()
        nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    expected = gpt2_weights({name: p.grad for name, p in reference.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-6, rtol=1e-4)


def test_sinusoidal_positions_stand_where_the_learned_ones_do(gpt2: Callable[..., Any]) -> None:
    reference = gpt2()
    state = gpt2_weights(reference.state_dict())
    del state["positions.weight"]
    ours = GPT(replace(GPT2, position="sinusoidal"), generator())
    ours.load_state_dict(state)
    table = [
        [f(t / 10_000 ** (2 * i / D)) for i in range(D // 2) for f in (math.sin, math.cos)] for t in range(T)
    ]
    reference.transformer.wpe.weight.data = torch.tensor(table)
    ids = some_ids()
    torch.testing.assert_close(ours.eval()(ids), reference(ids).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_rotary_rms_grouped_gpt_is_llama_but_for_its_gate(hub: Any, num_kv_heads: int) -> None:
    reference = hub.LlamaForCausalLM(hub.LlamaConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, intermediate_size=24,
        num_key_value_heads=num_kv_heads, max_position_embeddings=T, rms_norm_eps=1e-6, bos_token_id=0,
        eos_token_id=0, rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    ))  # fmt: skip
    for layer in reference.model.layers:  # Llama's MLP is gated, ours is not
        layer.mlp = nn.Sequential(nn.Linear(D, 24, bias=False), nn.GELU(), nn.Linear(24, D, bias=False))
    spread(reference)
    config = GPTConfig(
        vocab_size=V,
        context_length=T,
        width=D,
        num_layers=L,
        num_heads=H,
        num_kv_heads=num_kv_heads,
        mlp_width=24,
        position="rope",
        rope_base=100.0,
        norm="rms",
        norm_eps=1e-6,
        bias=False,
        tied_head=False,
    )
    ours = GPT(config, generator()).eval()
    theirs = reference.state_dict()
    state = {"tokens.weight": theirs["model.embed_tokens.weight"], "head.weight": theirs["lm_head.weight"],
             "final_norm.weight": theirs["model.norm.weight"]}  # fmt: skip
    for i in range(L):
        layer = {name.removeprefix(f"model.layers.{i}."): weight for name, weight in theirs.items()}
        state |= {
            f"blocks.{i}.attention.qkv.weight": torch.cat(
                [layer[f"self_attn.{x}_proj.weight"] for x in "qkv"]
            ),
            f"blocks.{i}.attention.output.weight": layer["self_attn.o_proj.weight"],
            f"blocks.{i}.attention_norm.weight": layer["input_layernorm.weight"],
            f"blocks.{i}.mlp_norm.weight": layer["post_attention_layernorm.weight"],
            f"blocks.{i}.mlp.input.weight": layer["mlp.0.weight"],
            f"blocks.{i}.mlp.output.weight": layer["mlp.2.weight"],
        }
    ours.load_state_dict(state)
    ids = some_ids()
    torch.testing.assert_close(ours(ids), reference(ids).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_no_position_reads_a_later_token(position: Any, norm_first: bool) -> None:
    model = spread(GPT(replace(GPT2, position=position, norm_first=norm_first), generator()))
    ids = some_ids(B=1)
    for return_weights in (False, True):  # the fused kernel and the explicit one

        def logits(ids: Tensor, return_weights: bool = return_weights) -> Tensor:
            result = model(ids, return_weights=return_weights)
            return (result[0] if return_weights else result).detach()

        before = logits(ids)
        for t in range(T):
            changed = ids.clone()
            changed[0, t] = (ids[0, t] + 1) % V
            moved = (logits(changed) - before)[0].abs().amax(dim=-1)
            assert (moved[:t] <= 1e-6).all()
            assert (moved[t:] > 1e-4).all()


def test_gpt2s_number_of_parameters() -> None:
    d, layers, context = 24, 3, 10
    config = GPTConfig(vocab_size=50, context_length=context, width=d, num_layers=layers, num_heads=2)
    expected = 12 * layers * d**2 + 13 * layers * d + 2 * d + 50 * d + context * d
    assert sum(p.numel() for p in GPT(config, generator()).parameters()) == expected
    untied = GPT(replace(config, tied_head=False), generator())
    assert sum(p.numel() for p in untied.parameters()) == expected + 50 * d


# --- Encoder -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert(hub: Any) -> Any:
    return spread(hub.BertModel(
        hub.BertConfig(vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H,
                       intermediate_size=24, max_position_embeddings=T, attn_implementation="eager"),
        add_pooling_layer=False,
    ))  # fmt: skip


@pytest.fixture(scope="module")
def encoder(bert: Any) -> Encoder:
    ours = Encoder(BERT, generator())
    ours.load_state_dict(from_bert(bert.state_dict()))
    return ours.eval()


@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_encoder_is_transformers_bert(bert: Any, encoder: Encoder, padded: bool) -> None:
    ids = some_ids()
    padding_mask = torch.arange(T) < torch.tensor([[T], [5], [1]]) if padded else None
    theirs = bert(
        ids,
        attention_mask=None if padding_mask is None else padding_mask.long(),
        output_attentions=True,
        output_hidden_states=True,
    )
    real = torch.ones(3, T, dtype=torch.bool) if padding_mask is None else padding_mask
    hidden, weights = encoder(ids, padding_mask, return_weights=True)
    for ours in (hidden, encoder(ids, padding_mask)):
        torch.testing.assert_close(ours[real], theirs.last_hidden_state[real], atol=1e-5, rtol=0)
    for mine, reference in zip(encoder.layers(ids, padding_mask), theirs.hidden_states, strict=True):
        torch.testing.assert_close(mine[real], reference[real], atol=1e-5, rtol=0)
    expected = torch.stack(theirs.attentions)
    assert weights.shape == expected.shape == (L, 3, H, T, T)
    torch.testing.assert_close(weights, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_layers_come_before_the_last_norm() -> None:
    config = EncoderConfig(
        vocab_size=V, context_length=T, width=D, num_layers=L, num_heads=H, norm_first=True
    )
    encoder = Encoder(config, generator())
    nn.init.normal_(encoder.final_norm.weight, generator=generator())
    layers = encoder.layers(some_ids())
    assert len(layers) == L + 1
    torch.testing.assert_close(encoder.final_norm(layers[-1]), encoder(some_ids()))


@torch.no_grad()
def test_padding_changes_nothing_and_a_token_everything(encoder: Encoder) -> None:
    ids = some_ids(B=1, length=7)
    alone = encoder(ids)
    padded = torch.cat([ids, some_ids(B=1, length=3, seed=5)], dim=1)
    padding_mask = torch.arange(10)[None] < 7
    torch.testing.assert_close(encoder(padded, padding_mask)[:, :7], alone, atol=1e-6, rtol=0)
    changed = ids.clone()
    changed[0, 3] = (ids[0, 3] + 1) % V
    assert ((encoder(changed) - alone).abs().amax(dim=-1) > 1e-3).all()  # before it and after it


def test_a_sequence_of_padding_alone_stays_finite(encoder: Encoder) -> None:
    padding_mask = torch.tensor([[True] * 4, [False] * 4])
    hidden, weights = encoder(some_ids(B=2, length=4), padding_mask, return_weights=True)
    assert hidden.isfinite().all() and (weights[:, 1] == 0).all()
    encoder(some_ids(B=2, length=4), padding_mask).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    encoder.zero_grad()


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_torchs_encoder_layer(norm_first: bool, activation: Any) -> None:
    config = TransformerConfig(
        vocab_size=V,
        context_length=T,
        width=D,
        num_layers=1,
        num_heads=H,
        mlp_width=24,
        activation=activation,
        norm_first=norm_first,
    )
    ours = spread(Block(config))
    reference = nn.TransformerEncoderLayer(D, H, 24, dropout=0.0, activation=activation, batch_first=True,
                                           norm_first=norm_first)  # fmt: skip
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj": "attention.output",
        "linear1": "mlp.input",
        "linear2": "mlp.output",
        "norm1": "attention_norm",
        "norm2": "mlp_norm",
    }
    state = {}
    for name in reference.state_dict():
        theirs = name
        for old, new in names.items():
            name = name.replace(old, new)
        state[theirs] = ours.state_dict()[name]
    reference.load_state_dict(state)
    x = torch.randn(2, 5, D, generator=generator(3))
    output, weights = ours(x, return_weights=False)
    torch.testing.assert_close(output, reference(x), atol=1e-5, rtol=0)
    assert weights is None


# --- initialization, dropout, dtype --------------------------------------------------------------------


def test_first_weights_come_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (GPT(GPT2, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1234)
    again = GPT(GPT2, generator(0))
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name]) and torch.equal(weight, again.state_dict()[name])
        assert torch.equal(weight, other.state_dict()[name]) == (weight.ndim == 1)


def test_head_is_tied_or_its_own() -> None:
    tied, untied = (GPT(replace(GPT2, tied_head=tied), generator()) for tied in (True, False))
    assert tied.head.weight is tied.tokens.weight
    assert untied.head.weight is not untied.tokens.weight
    assert not torch.equal(untied.head.weight, untied.tokens.weight)


@pytest.mark.parametrize(
    ("recipe", "matrices", "residual", "head"),
    [
        ({}, 0.02, 0.02 / math.sqrt(2 * 3), 0.02),  # GPT-2
        # What lets a tiny GPT learn in seconds.
        ({"init_std": 0.1, "residual_scale": 0.7, "head_std": 0.02}, 0.1, 0.07, 0.02),
    ],
)
def test_spread_of_the_first_weights(
    recipe: dict[str, Any], matrices: float, residual: float, head: float
) -> None:
    config = GPTConfig(
        vocab_size=150, context_length=100, width=96, num_layers=3, num_heads=4, tied_head=False, **recipe
    )
    seen = set()
    for name, weight in GPT(config, generator()).state_dict().items():
        if name.endswith("norm.weight"):
            assert (weight == 1).all()
        elif name.endswith("bias"):
            assert (weight == 0).all()
        else:
            kind = "head" if name == "head.weight" else "residual" if ".output." in name else "matrix"
            seen.add(kind)
            expected = {"head": head, "residual": residual, "matrix": matrices}[kind]
            # n draws have a standard deviation within 5·σ/√(2n), and a mean within 5·σ/√n, of the true ones
            assert abs(float(weight.std()) / expected - 1) < 5 / math.sqrt(2 * weight.numel()), name
            assert abs(float(weight.mean())) < 5 * expected / math.sqrt(weight.numel()), name
    assert seen == {"head", "residual", "matrix"}


def test_dropout_acts_in_training_only() -> None:
    model = GPT(replace(GPT2, dropout=0.5), generator())
    ids = some_ids()
    torch.manual_seed(0)
    assert not torch.equal(model.train()(ids), model(ids))
    plain = GPT(GPT2, generator())
    assert torch.equal(model.eval()(ids), plain.train()(ids))


@pytest.mark.parametrize("sublayer", ["attention", "mlp"])
def test_a_quarter_of_what_a_sublayer_adds_is_dropped(sublayer: str) -> None:
    """With the other sublayer silent, a quarter of the residual stream's entries stay as they are."""
    torch.manual_seed(0)
    config = replace(GPT2, width=200, dropout=0.25)
    block = Block(config)
    silent = block.mlp.output if sublayer == "attention" else block.attention.output
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    x = torch.randn(2, 10, 200, generator=generator())
    output, _ = block.train()(x, return_weights=False)
    assert_share((output == x), 0.25)


def test_a_quarter_of_the_embeddings_is_dropped() -> None:
    torch.manual_seed(0)
    model = GPT(replace(GPT2, width=200, dropout=0.25), generator()).train()
    embedded: list[Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda block, inputs: embedded.append(inputs[0]))
    model(some_ids())
    assert_share((embedded[0] == 0), 0.25)


def assert_share(chosen: Tensor, share: float) -> None:
    """About this share is True: within five standard deviations of independent draws."""
    deviation = math.sqrt(share * (1 - share) / chosen.numel())
    assert abs(float(chosen.float().mean()) - share) < 5 * deviation


def test_works_in_float64() -> None:
    for position in ("learned", "sinusoidal", "rope"):
        model = GPT(replace(GPT2, position=position), generator()).double()
        assert model(some_ids()).dtype == torch.float64


@settings(max_examples=30)
@given(
    heads=st.sampled_from([(1, 1), (2, 1), (4, 2), (4, 4)]),
    layers=st.integers(1, 3),
    B=st.integers(1, 3),
    length=st.integers(1, T),
    position=st.sampled_from(["learned", "sinusoidal", "rope"]),
    norm=st.sampled_from(["layer", "rms"]),
    norm_first=st.booleans(),
    embedding_norm=st.booleans(),
    bias=st.booleans(),
    tied_head=st.booleans(),
)
def test_every_choice_gives_logits_and_weights_that_fit(
    heads: tuple[int, int], layers: int, B: int, length: int, position: Any, norm: Any, **choices: Any
) -> None:
    config = GPTConfig(vocab_size=V, context_length=T, width=D, num_layers=layers, num_heads=heads[0],
                       num_kv_heads=heads[1], position=position, norm=norm, **choices)  # fmt: skip
    model = spread(GPT(config, generator()))
    ids = some_ids(B, length)
    logits, weights = model(ids, return_weights=True)
    assert logits.shape == (B, length, V)
    assert weights.shape == (layers, B, heads[0], length, length)
    torch.testing.assert_close(weights.sum(-1), torch.ones(layers, B, heads[0], length))
    assert (weights.triu(1) == 0).all()
    torch.testing.assert_close(model(ids), logits, atol=1e-5, rtol=1e-5)
    logits.square().sum().backward()
    used = ids.unique()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        grad = parameter.grad[used] if name == "tokens.weight" else parameter.grad
        if length > 1 or ".qkv." not in name:
            assert (grad != 0).any(), name


# --- counts --------------------------------------------------------------------------------------------


def test_counts_are_those_of_gpt2_small(hub: Any) -> None:
    small = GPTConfig(vocab_size=50_257, context_length=1024, width=768, num_layers=12, num_heads=12)
    with torch.device("meta"):
        theirs = hub.GPT2LMHeadModel(hub.GPT2Config())
        ids = torch.zeros(2, 256, dtype=torch.long)
    assert count_params(small) == theirs.num_parameters() == 124_439_808
    with FlopCounterMode(display=False) as counted:
        theirs(ids)
    assert flops_per_token(small, 256) * ids.numel() == counted.get_total_flops()


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["gpt", "encoder"]),
    heads=st.sampled_from([(1, 1), (4, 1), (4, 2), (4, 4)]),
    layers=st.integers(1, 3),
    length=st.integers(1, T),
    mlp_width=st.sampled_from([None, 1, 24]),
    tied_head=st.booleans(),
    position=st.sampled_from(["learned", "sinusoidal", "rope"]),
    norm=st.sampled_from(["layer", "rms"]),
    norm_first=st.booleans(),
    embedding_norm=st.booleans(),
    bias=st.booleans(),
)
def test_counts_are_those_of_the_model_built(
    kind: str, heads: tuple[int, int], layers: int, length: int, tied_head: bool, **choices: Any
) -> None:
    sizes = {"vocab_size": V, "context_length": T, "width": D, "num_layers": layers}
    sizes |= {"num_heads": heads[0], "num_kv_heads": heads[1]} | choices
    config = GPTConfig(**sizes, tied_head=tied_head) if kind == "gpt" else EncoderConfig(**sizes)
    model = GPT(config, generator()) if isinstance(config, GPTConfig) else Encoder(config, generator())
    assert count_params(config) == sum(parameter.numel() for parameter in model.parameters())
    ids = some_ids(2, length)
    with FlopCounterMode(display=False) as counted:
        model(ids, return_weights=True)
    forward = counted.get_total_flops()
    assert flops_per_token(config, length) * ids.numel() == forward


def test_training_takes_three_forward_passes() -> None:
    model, ids = GPT(GPT2, generator()), some_ids()
    with FlopCounterMode(display=False) as counted:
        model(ids, return_weights=True)[0].sum().backward()
    assert counted.get_total_flops() == 3 * flops_per_token(GPT2, T) * ids.numel()


@pytest.mark.parametrize("length", [0, T + 1])
def test_lengths_that_do_not_fit_are_named(length: int) -> None:
    with pytest.raises(ValueError, match=f"length must be from 1 to {T}, got {length}"):
        flops_per_token(GPT2, length)


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"num_layers": -1}, "num_layers must be at least 1"),
        ({"mlp_width": 0}, "mlp_width must be at least 1"),
        ({"activation": "swish"}, "activation must be one of gelu, gelu_tanh, relu, got 'swish'"),
        ({"position": "alibi"}, "position must be one of"),
        ({"norm": "batch"}, "norm must be one of layer, rms"),
        ({"dropout": 1.0}, r"dropout must be from 0 to below 1, got 1\.0"),
        ({"init_std": -0.1}, r"init_std must not be negative, got -0\.1"),
        ({"head_std": math.nan}, "head_std must not be negative, got nan"),
        ({"residual_scale": -1.0}, "residual_scale must not be negative"),
        ({"norm_eps": -1e-5}, "norm_eps must not be negative"),
        ({"rope_base": 0.0}, "rope_base must be above 0"),
        ({"position": "rope", "num_heads": 16}, "width / num_heads must be even, got 16 / 16"),
        ({"num_heads": 3}, "num_heads must divide width"),
        ({"num_kv_heads": 3}, "num_kv_heads must divide num_heads"),
        ({"position": "sinusoidal", "width": 15, "num_heads": 1}, "d must be even"),
    ],
)
def test_impossible_configurations_are_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GPT(replace(GPT2, **changes), generator())


@pytest.mark.parametrize(
    ("ids", "error", "says"),
    [
        (torch.zeros(2, 3), TypeError, "ids must be torch.long"),
        (torch.zeros(3).long(), ValueError, "shape"),
        (torch.zeros(2, 0).long(), ValueError, "at least one token"),
        (torch.zeros(2, T + 1).long(), ValueError, f"position {T}, the model reads positions 0 to {T - 1}"),
        (torch.full((2, 3), V), ValueError, f"ids must be from 0 to {V - 1}, got {V} to {V}"),
        (torch.full((2, 3), -1), ValueError, "got -1 to -1"),
    ],
)
@pytest.mark.parametrize("kind", ["gpt", "encoder"])
def test_bad_ids_are_named(ids: Tensor, error: type[Exception], says: str, kind: str) -> None:
    model = GPT(GPT2, generator()) if kind == "gpt" else Encoder(BERT, generator())
    with pytest.raises(error, match=says):
        model(ids)


def test_bad_padding_masks_are_named() -> None:
    model = Encoder(BERT, generator())
    with pytest.raises(ValueError, match=r"padding_mask must have ids' shape \(3, 12\), got \(12,\)"):
        model(some_ids(), torch.ones(T, dtype=torch.bool))
    with pytest.raises(TypeError, match="mask must be boolean"):
        model(some_ids(), torch.ones(3, T).long())
