"""The number of parameters of a GPT, from its sizes."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from lmprep.practice.checks import Call, Rng, raises
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `gpt_param_count(V, T, d, L, H, d_ff, tied, bias=True)`: how many parameters a GPT-2 has with a
vocabulary of $V$ tokens, a context of $T$ with one learned vector per position, width $d$, $L \geq 0$
blocks of $H$ heads, and $d_\text{ff}$ hidden units in each MLP. A block holds two layer norms, the
projections to queries, keys and values, the output projection, and an MLP of two linear layers; one more
layer norm follows the last block. `bias` switches the biases of the blocks' linear layers; a layer norm
always has a weight and a bias, the head never has a bias. With `tied` the head is the token embeddings'
matrix, which counts once. Return a Python `int`, exact beyond $2^{53}$ too, without allocating the weights
(torch's meta device does not), and raise a `ValueError` where $H$ does not divide $d$.
"""

STARTER = '''
def gpt_param_count(
    V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True
) -> int:
    """The parameters of a GPT-2: vocabulary V, context T, width d, L blocks, H heads."""
    raise NotImplementedError
'''

HINTS = (
    "List the modules from the input to the logits, with the shape of each weight. How many layer norms are "
    "there in all, and which matrix appears twice?",
    "Cutting the projections into heads reshapes them and adds nothing. So a block has four matrices: which "
    "shapes, and how long is the bias of each?",
    "Add V·d and T·d for the embeddings; for each block 4d² + 2·d·d_ff of matrices, 5d + d_ff of biases if "
    "there are any, and 4d of norms; 2d for the last norm; and V·d once more if the head is not tied.",
)


def gpt_param_count(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    if d % H:
        raise ValueError(f"H must divide d, got H={H}, d={d}")
    matrices = 4 * d * d + 2 * d * d_ff  # queries, keys, values, output; the MLP's two
    biases = 4 * d + d_ff + d if bias else 0
    block = matrices + biases + 2 * 2 * d  # two norms
    head = 0 if tied else V * d
    return V * d + T * d + L * block + 2 * d + head


# What the checks compare with.

NAMES = ("V", "T", "d", "L", "H", "d_ff", "tied", "bias")
RELEASED = (  # GPT-2's four sizes: width, blocks, heads, parameters
    (768, 12, 12, 124_439_808),
    (1024, 24, 16, 354_823_168),
    (1280, 36, 20, 774_030_080),
    (1600, 48, 25, 1_557_611_200),
)


def by_shapes(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    """Every tensor of the model, under the names that the released weights have, and its elements."""
    linear = {"c_attn": (d, 3 * d), "attn.c_proj": (d, d), "c_fc": (d, d_ff), "mlp.c_proj": (d_ff, d)}
    tensors: dict[str, tuple[int, ...]] = {"wte.weight": (V, d), "wpe.weight": (T, d)}
    tensors |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    for layer in range(L):
        for norm in ("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"):
            tensors[f"h.{layer}.{norm}"] = (d,)
        for name, (inputs, outputs) in linear.items():
            tensors[f"h.{layer}.{name}.weight"] = (inputs, outputs)
            if bias:
                tensors[f"h.{layer}.{name}.bias"] = (outputs,)
    if not tied:
        tensors["lm_head.weight"] = (V, d)
    return sum(math.prod(shape) for shape in tensors.values())


def drawn(rng: Rng, **fixed: Any) -> dict[str, Any]:
    """Sizes that all differ, with `fixed` ones."""
    V, T, d, d_ff = (int(size) for size in rng.permutation(np.arange(5, 40))[:4])
    sizes = (V, T, 12 * d, int(rng.integers(2, 5)), int(rng.choice([2, 3, 6])), d_ff, True, True)
    return dict(zip(NAMES, sizes, strict=True)) | fixed


def compare(candidate: Candidate, sizes: dict[str, Any], cause: str) -> None:
    call = Call(candidate, **sizes)
    call.equals("parameters", whole(call), by_shapes(**sizes), cause=cause)


def whole(call: Call) -> int:
    """The answer, if it is an int and nothing else."""
    if type(call.value) is not int:
        call.fail(
            "an int",
            f"{type(call.value).__name__} {call.value!r}"[:80],
            "`/` in place of `//`, a NumPy number, or a missing `return`",
        )
    return call.value


# Checks.


def an_int(candidate: Candidate, rng: Rng) -> None:
    """Returns a Python int."""
    whole(Call(candidate, V=1, T=1, d=1, L=1, H=1, d_ff=1, tied=True))
    whole(Call(candidate, **drawn(rng)))


def no_blocks(candidate: Candidate, rng: Rng) -> None:
    """Without blocks, embeddings and one layer norm are left."""
    for tied in (True, False):
        for sizes in ({"V": 1, "T": 1, "d": 1, "H": 1, "d_ff": 1}, {}):
            compare(candidate, drawn(rng, L=0, tied=tied, **sizes),
                    "the norm after the last block, the positions, or the head forgotten")  # fmt: skip


def one_block(candidate: Candidate, rng: Rng) -> None:
    """One block of one head adds its four matrices, their biases and two norms."""
    for d in (1, 3, 12 * int(rng.integers(2, 20))):
        compare(candidate, drawn(rng, L=1, H=1, d=d, d_ff=4 * d),
                "a matrix, a bias or a norm of the block left out: it has 4d² + 2·d·d_ff in matrices, "
                "5d + d_ff in biases, 4d in norms")  # fmt: skip


def heads(candidate: Candidate, rng: Rng) -> None:
    """The number of heads changes nothing."""
    for H in (1, 2, 3, 4, 6, 12):
        sizes = drawn(rng, d=12, H=H, d_ff=48)
        compare(candidate, sizes, "matrices multiplied by the number of heads, which cut them into slices")


def mlp(candidate: Candidate, rng: Rng) -> None:
    """The MLP has d_ff hidden units, whatever d is."""
    for d_ff in (1, 7, 200):
        compare(candidate, drawn(rng, d_ff=d_ff), "a width of 4d taken for granted, or d and d_ff mixed up")


def switches(candidate: Candidate, rng: Rng) -> None:
    """`tied` and `bias` do what they say, each alone."""
    for tied in (True, False):
        for bias in (True, False):
            compare(candidate, drawn(rng, tied=tied, bias=bias),
                    "a tied head counted twice, a head with a bias, or `bias` that also switches the norms' "
                    "(it switches the linear layers' alone)")  # fmt: skip


def bias_default(candidate: Candidate, rng: Rng) -> None:
    """Without `bias`, there are biases."""
    sizes = drawn(rng)
    del sizes["bias"]
    compare(candidate, sizes, "a default other than the starter's")


def released(candidate: Candidate, rng: Rng) -> None:
    """The four GPT-2 models that were released come out."""
    for d, L, H, parameters in RELEASED:
        call = Call(candidate, V=50_257, T=1024, d=d, L=L, H=H, d_ff=4 * d, tied=True)
        call.equals("parameters", whole(call), parameters, cause="a sum in float32, exact up to 2²⁴ only")


def huge(candidate: Candidate, rng: Rng) -> None:
    """Stays exact beyond 2⁵³, where floats have gaps."""
    d = 2**27 + int(rng.integers(1000)) * 4 + 2
    sizes = dict(zip(NAMES, (2**30 + 1, 2**25 + 1, d, 3, 2, 3 * d + 1, False, True), strict=True))
    V, T, L, d_ff = (sizes[name] for name in ("V", "T", "L", "d_ff"))
    call = Call(candidate, **sizes)
    layers = [(3 * d, d), (d, d), (d_ff, d), (d, d_ff)]
    block = sum(rows * columns + rows for rows, columns in layers) + 4 * d
    call.equals("parameters", whole(call), (2 * V + T + 2) * d + L * block, cause="a sum in floats")


def heads_that_do_not_divide(candidate: Candidate, rng: Rng) -> None:
    """Raises a ValueError where H does not divide d."""
    for d, H in ((6, 4), (1, 2), (16, 5), (12, 24)):
        raises(ValueError, candidate, **drawn(rng, d=d, H=H), cause="no check of `d % H`, or an `assert`")


# Right answers of other style, and wrong ones.


def from_shapes(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    width, rest = divmod(d, H)
    if rest:
        raise ValueError("heads of unequal width")
    linear = [(d, H * width)] * 4 + [(d, d_ff), (d_ff, d)]
    shapes = [(V, d), (T, d), (2, d)] + L * (linear + [(2, d)] * 2)
    total = sum(rows * columns for rows, columns in shapes)
    if bias:
        total += L * sum(columns for _, columns in linear)
    return total if tied else total + V * d


def from_modules(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    if d % H != 0:
        raise ValueError(f"{d} dimensions cannot be cut into {H} heads")
    with torch.device("meta"):
        outside = nn.ModuleList([nn.Embedding(V, d), nn.Embedding(T, d), nn.LayerNorm(d)])
        if not tied:
            outside.append(nn.Linear(d, V, bias=False))
        blocks = nn.ModuleList()
        for _ in range(L):
            attention = [nn.LayerNorm(d), nn.Linear(d, 3 * d, bias=bias), nn.Linear(d, d, bias=bias)]
            mlp = [nn.LayerNorm(d), nn.Linear(d, d_ff, bias=bias), nn.Linear(d_ff, d, bias=bias)]
            blocks.append(nn.ModuleList(attention + mlp))
    return sum(weight.numel() for part in (outside, blocks) for weight in part.parameters())


def collected(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    if (d // H) * H != d:
        raise ValueError
    per_block = d * (4 * d + 2 * d_ff + 4) + bias * (5 * d + d_ff)
    return int(d * (V * (2 - bool(tied)) + T + 2) + L * per_block)


def off(amount: Any) -> Candidate:
    """The reference plus `amount(**sizes)`."""

    def answer(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
        right = gpt_param_count(V, T, d, L, H, d_ff, tied, bias)
        return int(right + amount(V=V, T=T, d=d, L=L, H=H, d_ff=d_ff, tied=tied, bias=bias))

    return answer


def four_times(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    return gpt_param_count(V, T, d, L, H, 4 * d, tied, bias)


def unchecked(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    return gpt_param_count(V, T, d, L, 1, d_ff, tied, bias)


def asserted(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    assert d % H == 0
    return gpt_param_count(V, T, d, L, H, d_ff, tied, bias)


def in_floats(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    if d % H:
        raise ValueError
    return int(L * (4.0 * d**2 + 2 * d * d_ff + (5 * d + d_ff) * bias + 4 * d) + (V * (2 - tied) + T + 2) * d)


def in_float32(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> int:
    if d % H:
        raise ValueError
    block = np.array([4 * d * d, 2 * d * d_ff, bias * (5 * d + d_ff), 4 * d], dtype=np.float32).sum()
    return int(L * block + np.float32((V * (2 - tied) + T + 2) * d))


def no_bias_unless_asked(
    V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = False
) -> int:
    return gpt_param_count(V, T, d, L, H, d_ff, tied, bias)


def a_float(V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True) -> Any:
    return float(gpt_param_count(V, T, d, L, H, d_ff, tied, bias))


TASK = Task(
    name="gpt_param_count",
    entry="transformer_block",
    statement=STATEMENT,
    starter=STARTER,
    reference=gpt_param_count,
    hints=HINTS,
    checks=(
        an_int,
        no_blocks,
        one_block,
        heads,
        mlp,
        switches,
        bias_default,
        released,
        huge,
        heads_that_do_not_divide,
    ),
    wrong={
        "final norm forgotten": off(lambda d, **_: -2 * d),
        "tied head counted twice": off(lambda V, d, tied, **_: V * d if tied else 0),
        "untied head forgotten": off(lambda V, d, tied, **_: 0 if tied else -V * d),
        "head with a bias": off(lambda V, **_: V),
        "matrices of every head at full width": off(lambda d, L, H, **_: 3 * L * (H - 1) * d * d),
        "no output projection": off(lambda d, L, bias, **_: -L * (d * d + bias * d)),
        "queries, keys and values share a matrix": off(lambda d, L, bias, **_: -2 * L * (d * d + bias * d)),
        "positions not learned": off(lambda T, d, **_: -T * d),
        "norms without biases": off(lambda d, L, **_: -(2 * L + 1) * d),
        "norms that lose their bias with the others": off(
            lambda d, L, bias, **_: 0 if bias else -(2 * L + 1) * d
        ),
        "one norm a block": off(lambda d, L, **_: -2 * L * d),
        "no biases at all": off(lambda d, L, d_ff, bias, **_: -bias * L * (5 * d + d_ff)),
        "bias ignored": off(lambda d, L, d_ff, bias, **_: 0 if bias else L * (5 * d + d_ff)),
        "MLP's output bias as long as its input's": off(lambda d, L, d_ff, bias, **_: bias * L * (d_ff - d)),
        "a gated MLP": off(lambda d, L, d_ff, **_: L * d * d_ff),
        "4d hidden units always": four_times,
        "heads not checked": unchecked,
        "heads checked by assert": asserted,
        "a default without biases": no_bias_unless_asked,
        "added up in float32": in_float32,
        "computed in floats": in_floats,
        "a float": a_float,
    },
    also_right={
        "from a list of shapes": from_shapes,
        "terms collected": collected,
        "from modules on the meta device": from_modules,
    },
    asked=2,
)
