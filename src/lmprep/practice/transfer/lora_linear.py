"""A linear layer with a low-rank adapter that can be merged and taken out again."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write the class `LoRALinear(base, rank, alpha)`: it wraps the `nn.Linear` `base`, uses that very layer as
`self.base`, freezes it, bias too, and computes $Wx + b + \frac{\alpha}{r} B A x$ for inputs of any shape
`(…, in)`, where $W$, $b$ are the base's and $r$ is `rank`. `self.A`, $(r, \text{in})$, and `self.B`,
$(\text{out}, r)$, are its only trained parameters, in the dtype of the base: A random, B zero, so that the
layer starts as its base and still learns. `merge()` adds $\frac{\alpha}{r} B A$ to the base's weight in
place, so that `base` alone gives the same outputs, and `unmerge()` takes it out again, to rounding; neither
changes A, B or the layer's own outputs. Calling one of them twice in a row is like calling it once,
`unmerge()` without `merge()` does nothing, and both leave the base frozen. While the layer is not merged,
A, B and the input get their gradients.
"""

STARTER = '''
import torch
from torch import nn


class LoRALinear(nn.Module):
    """y = base(x) + (alpha / rank) · B A x, with the base frozen.

    base: nn.Linear, with or without bias; kept as self.base.
    self.A: parameter (rank, in), random. self.B: parameter (out, rank), zero.
    x: (…, in) to (…, out). merge() and unmerge() change base.weight, in place.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def merge(self) -> None:
        raise NotImplementedError

    def unmerge(self) -> None:
        raise NotImplementedError
'''

HINTS = (
    "Two thin matrices, and the product must start at zero while one of them can still learn in the first "
    "step: write down the gradient of each and see which of them may be zero. What is frozen has to be said "
    "once, for weight and bias.",
    "Apply the thin matrices one after the other, A first, and scale by alpha over rank; the product of both "
    "is needed only for merging. Parameters are stored as in a linear layer, outputs first, so each is "
    "applied transposed.",
    "Remember in one flag whether the update is in the weight. While it is, the forward pass is the base "
    "alone. Merging does nothing if the flag is set, else adds the scaled product to the weight outside of "
    "autograd and sets it; unmerging is the mirror image.",
)


class LoRALinear(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale, self.merged = base.requires_grad_(False), alpha / rank, False
        self.A = nn.Parameter(torch.randn(rank, base.in_features).to(base.weight) / base.in_features**0.5)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + (0 if self.merged else self.scale * (x @ self.A.mT @ self.B.mT))

    def merge(self) -> None:
        if not self.merged:
            self.base.weight.data += self.scale * (self.B @ self.A).data
            self.merged = True

    def unmerge(self) -> None:
        if self.merged:
            self.base.weight.data -= self.scale * (self.B @ self.A).data
            self.merged = False


# What the checks compare with.

SIZES = ((1, 1, 1), (2, 1, 1), (1, 2, 1), (3, 2, 2), (5, 4, 3), (4, 7, 2))  # in, out, rank
ALPHAS = (0.5, 5.0, 12.0)


def base_layer(W: Tensor, b: Tensor | None) -> nn.Linear:
    layer = nn.Linear(W.size(1), W.size(0), bias=b is not None, dtype=W.dtype)
    layer.weight.data.copy_(W)
    if b is not None:
        layer.bias.data.copy_(b)
    return layer


def given(
    rng: Rng, sizes: tuple[int, int, int], *batch: int, bias: bool = True, dtype: torch.dtype = torch.float64
) -> dict[str, Any]:
    """A base, an adapter and inputs; α is none of r, 1 and 2r."""
    wide, tall, rank = sizes
    return {
        "W": normal(rng, tall, wide, dtype=dtype),
        "b": normal(rng, tall, dtype=dtype) if bias else None,
        "A": normal(rng, rank, wide, dtype=dtype),
        "B": normal(rng, tall, rank, dtype=dtype),
        "alpha": float(rng.choice([alpha for alpha in ALPHAS if alpha not in (rank, 2 * rank)])),
        "x": normal(rng, *(batch or (2,)), wide, dtype=dtype),
    }


def expected(W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float, x: Tensor) -> Tensor:
    y = x @ (W + alpha / len(A) * B @ A).mT
    return y if b is None else y + b


def after(candidate: Candidate, *steps: str) -> Candidate:
    """The candidate's output for a given base and adapter after some calls, with the weight and the layer."""

    def run(
        W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float, x: Tensor
    ) -> tuple[Tensor, Tensor, Any]:
        base = base_layer(torch.ones_like(W), b)
        weight = base.weight
        layer = candidate(base, len(A), alpha)
        with torch.no_grad():
            weight.copy_(W)  # as a checkpoint that is loaded into the wrapped model
            layer.A.copy_(A)
            layer.B.copy_(B)
        for step in steps:
            getattr(layer, step)()
        return layer(x), weight.detach(), layer  # the very parameter that came: others may share it

    run.__name__ = " then ".join(("LoRALinear", *steps))
    return run


def checked(candidate: Candidate, inputs: dict[str, Any], steps: tuple[str, ...], cause: str) -> Call:
    """Output, weight of the base and what is frozen, after some calls of merge and unmerge."""
    call = Call(after(candidate, *steps), **inputs)
    output, weight, layer = call.value
    want = expected(**inputs)
    told = f"after {', '.join(steps)}: " if steps else ""
    call.holds(isinstance(output, Tensor), expected="a tensor", got=type(output).__name__,
               cause="a missing `return`")  # fmt: skip
    call.holds(output.dtype == want.dtype, expected=f"output of {want.dtype}", got=str(output.dtype),
               cause="A and B in another dtype than the base")  # fmt: skip
    call.same(f"{told}output", output, want, cause=cause)
    merged = bool(steps) and steps[-1] == "merge"
    target = inputs["W"] + (inputs["alpha"] / len(inputs["A"]) * inputs["B"] @ inputs["A"] if merged else 0)
    call.same(f"{told}base.weight", weight, target, cause=cause)
    trained = sorted(name for name, parameter in layer.named_parameters() if parameter.requires_grad)
    call.equals(f"{told}trained parameters", trained, ["A", "B"],
                cause="a base that is not frozen, or a new `nn.Parameter`, which is trained")  # fmt: skip
    return call


# Checks.


def starts_as_its_base(candidate: Candidate, rng: Rng) -> None:
    """A new layer gives what its base gives, of the same dtype."""
    for sizes in SIZES:
        for dtype in (torch.float32, torch.float64):
            for bias in (True, False):
                inputs = given(rng, sizes, bias=bias, dtype=dtype)

                def run(W: Tensor, b: Tensor | None, rank: int, alpha: float, x: Tensor) -> Any:
                    return candidate(base_layer(W, b), rank, alpha)(x)

                shown = {"W": inputs["W"], "b": inputs["b"], "rank": sizes[2]}
                call = Call(run, **shown, alpha=inputs["alpha"], x=inputs["x"])
                want = expected(**inputs | {"B": torch.zeros_like(inputs["B"])})
                output = call.returns(dtype, output=want.shape)
                cause = "B that is not zero, the base's bias lost, or an output of another dtype"
                call.same("output", output, want, cause=cause)


def parameters(candidate: Candidate, rng: Rng) -> None:
    """A is random, (rank, in); B is zero, (out, rank); only they are trained, in the dtype of the base."""
    for sizes in SIZES:
        for dtype in (torch.float32, torch.float64):
            inputs = given(rng, sizes, dtype=dtype)

            def build(W: Tensor, b: Tensor, rank: int, alpha: float) -> Any:
                return candidate(base_layer(W, b), rank, alpha), candidate(base_layer(W, b), rank, alpha)

            call = Call(build, W=inputs["W"], b=inputs["b"], rank=sizes[2], alpha=inputs["alpha"])
            layer, other = call.value
            wide, tall, rank = sizes
            for name, shape in (("A", (rank, wide)), ("B", (tall, rank))):
                value: Any = getattr(layer, name, None)
                call.holds(isinstance(value, nn.Parameter), expected=f"self.{name}, an nn.Parameter",
                           got=type(value).__name__,
                           cause="a plain tensor: no optimizer would find it")  # fmt: skip
                call.equals(f"{name}.shape", tuple(value.shape), shape,
                            cause="in and out exchanged: layers are stored outputs first")  # fmt: skip
                call.equals(f"{name}.dtype", str(value.dtype), str(dtype),
                            cause="the default dtype in place of the base's")  # fmt: skip
            trained = sorted(name for name, value in layer.named_parameters() if value.requires_grad)
            call.equals("trained parameters", trained, ["A", "B"],
                        cause="a base that is not frozen, or whose bias is not")  # fmt: skip
            call.holds((layer.B == 0).all(), expected="B = 0", got="other numbers",
                       cause="both drawn at random: the layer does not start as its base")  # fmt: skip
            call.holds((layer.A != 0).any() and not torch.equal(layer.A, other.A),
                       expected="a random A, drawn anew for each layer", got="zeros, or the same A twice",
                       cause="A zero too, so that neither ever gets a gradient; or a fixed seed")  # fmt: skip
            if rank > 2:
                call.holds(torch.linalg.matrix_rank(layer.A) > 1, expected="rows of A that differ",
                           got="rows that are multiples of one",
                           cause="one number or one row for all: B's columns then stay alike, "
                                 "and the update never gets beyond rank 1")  # fmt: skip


def values(candidate: Candidate, rng: Rng) -> None:
    """The update is alpha / rank · B A x, added to the base's output with its bias."""
    for sizes in SIZES:
        for bias in (True, False):
            for dtype in (torch.float32, torch.float64):
                cause = (
                    "alpha without / rank, another scale, A and B in the wrong order or not transposed, "
                    "a bias lost or added twice"
                )
                checked(candidate, given(rng, sizes, bias=bias, dtype=dtype), (), cause)


def any_shape(candidate: Candidate, rng: Rng) -> None:
    """Inputs of one, two, three and four axes, also not contiguous."""
    for batch in ((), (3,), (2, 3), (2, 1, 3)):
        inputs = given(rng, (3, 2, 2), *batch)
        if not batch:
            inputs["x"] = normal(rng, 3, dtype=torch.float64)
        cause = "a transpose of the input's axes, or `.view` of it"
        checked(candidate, inputs, (), cause)
        checked(candidate, inputs | {"x": strided(inputs["x"])}, (), cause)


def first_step(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to B in the first step, then to A and the input, and none to the base."""
    for sizes in ((2, 1, 1), (3, 2, 2), (5, 4, 3)):
        for adapted in (False, True):
            inputs = given(rng, sizes)
            inputs["B"] = inputs["B"] if adapted else torch.zeros_like(inputs["B"])
            names = ("A", "B", "x")
            leaves = {name: inputs[name].clone().requires_grad_() for name in names}
            wanted = torch.autograd.grad(expected(**inputs | leaves).square().sum(), list(leaves.values()))

            def run(
                W: Tensor, b: Tensor, A: Tensor, B: Tensor, alpha: float, x: Tensor
            ) -> tuple[Tensor | None, ...]:
                x = x.clone().requires_grad_()
                output, _, layer = after(candidate)(W, b, A, B, alpha, x)
                (output**2).sum().backward()
                return layer.A.grad, layer.B.grad, x.grad, layer.base.weight.grad, layer.base.bias.grad

            call = Call(run, **inputs)
            for name, got, want in zip(names, call.value, wanted, strict=False):
                cause = "`.detach()`, `.data` or `torch.no_grad()` in the forward pass"
                call.holds(got is not None, expected=f"a gradient for {name}", got="none", cause=cause)
                call.same(f"gradient of {name}", got, want, cause=cause)
            call.equals("gradients of the base", call.value[3:], (None, None), cause="a base not frozen")


def merges(candidate: Candidate, rng: Rng) -> None:
    """merge() puts the update into the weight of the very layer it was given, once, and keeps the outputs."""
    for sizes in SIZES:
        for steps in (("merge",), ("merge", "merge")):
            cause = (
                "an update added twice, in the forward pass too or at each call; without alpha / rank; "
                "or put into a copy of the base, or into a new parameter"
            )
            checked(candidate, given(rng, sizes), steps, cause)


def unmerges(candidate: Candidate, rng: Rng) -> None:
    """unmerge() takes the update out, once, and does nothing where nothing was merged."""
    for sizes in SIZES:
        for steps in (
            ("merge", "unmerge"),
            ("unmerge",),
            ("merge", "unmerge", "unmerge"),
            ("merge", "unmerge", "merge"),
        ):
            cause = (
                "no memory of whether the update is in the weight, a flag that is not set back, "
                "or the weight of when the layer was built put back"
            )
            checked(candidate, given(rng, sizes), steps, cause)


def adapter_kept(candidate: Candidate, rng: Rng) -> None:
    """merge() and unmerge() leave A and B as they were, and the input is not changed."""
    for sizes in ((2, 1, 1), (5, 4, 3)):
        for steps in ((), ("merge",), ("merge", "unmerge")):
            inputs = given(rng, sizes)
            call = Call(after(candidate, *steps), **inputs)
            _, _, layer = call.value
            call.same("A", layer.A, inputs["A"], tolerance=0.0, cause="A reset when merging")
            call.same("B", layer.B, inputs["B"], tolerance=0.0, cause="B reset when merging")
            call.unchanged()


# Right answers of other style, and wrong ones.


class ByKeptCopy(nn.Module):
    """The weight from before is kept, and put back bit for bit."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.A = nn.Parameter(torch.empty(rank, base.in_features, dtype=base.weight.dtype))
        nn.init.kaiming_uniform_(self.A, a=5**0.5)
        self.B = nn.Parameter(torch.zeros(base.out_features, rank, dtype=base.weight.dtype))
        self.rank, self.alpha = rank, alpha
        self.before: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if self.before is None:
            y = y + nn.functional.linear(nn.functional.linear(x, self.A), self.B) * (self.alpha / self.rank)
        return y

    @torch.no_grad()
    def merge(self) -> None:
        if self.before is None:
            self.before = self.base.weight.clone()
            self.base.weight.add_(self.B @ self.A, alpha=self.alpha / self.rank)

    @torch.no_grad()
    def unmerge(self) -> None:
        if self.before is not None:
            self.base.weight.copy_(self.before)
            self.before = None


class ByWeight(nn.Module):
    """W + ΔW is formed at each call."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        base.weight.requires_grad_(False)
        if base.bias is not None:
            base.bias.requires_grad_(False)
        self.A = nn.Parameter(0.01 * torch.randn(rank, base.in_features, dtype=base.weight.dtype))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank, dtype=base.weight.dtype))
        self.scale, self.inside = alpha / rank, 0

    def forward(self, x: Tensor) -> Tensor:
        weight = self.base.weight + (1 - self.inside) * self.scale * torch.einsum("or,ri->oi", self.B, self.A)
        return nn.functional.linear(x, weight, self.base.bias)

    def move(self, inside: int) -> None:
        with torch.no_grad():
            self.base.weight += (inside - self.inside) * self.scale * self.B @ self.A
        self.inside = inside

    def merge(self) -> None:
        self.move(1)

    def unmerge(self) -> None:
        self.move(0)


class InFloat64(LoRALinear):
    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.linear(x.double(), self.base.weight.double())
        if self.base.bias is not None:
            y = y + self.base.bias.double()
        if not self.merged:
            y = y + self.scale * (x.double() @ self.A.double().mT @ self.B.double().mT)
        return y.to(x.dtype)


def variant(**methods: Callable[..., Any]) -> type:
    """The reference with some methods of its own."""
    return type("LoRALinear", (LoRALinear,), methods)


def built(change: Callable[[Any], None]) -> type:
    """The reference with something changed once it is built."""

    def __init__(self: Any, base: nn.Linear, rank: int, alpha: float) -> None:
        LoRALinear.__init__(self, base, rank, alpha)
        self.rank, self.alpha = rank, alpha
        with torch.no_grad():
            change(self)

    return variant(__init__=__init__)


def output(added: Callable[[Any, Tensor], Any]) -> type:
    """The reference with another update while it is not merged."""

    def forward(self: Any, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        return y if self.merged else y + added(self, x)

    return variant(forward=forward)


def on_merge(action: Callable[[Any], None]) -> type:
    def merge(self: Any) -> None:
        with torch.no_grad():
            action(self)

    return variant(merge=merge)


def on_unmerge(action: Callable[[Any], None]) -> type:
    def unmerge(self: Any) -> None:
        with torch.no_grad():
            action(self)

    return variant(unmerge=unmerge)


def delta(self: Any) -> Tensor:
    product: Tensor = self.scale * self.B @ self.A
    return product


def update(self: Any, x: Tensor, A: Tensor | None = None, B: Tensor | None = None) -> Tensor:
    A, B = self.A if A is None else A, self.B if B is None else B
    result: Tensor = self.scale * (x @ A.mT @ B.mT)
    return result


def add_always(self: Any) -> None:
    self.base.weight += delta(self)
    self.merged = True


def take_always(self: Any) -> None:
    self.base.weight -= delta(self)
    self.merged = False


def add_without_flag(self: Any) -> None:
    if not self.merged:
        self.base.weight += delta(self)


def take_without_flag(self: Any) -> None:
    if self.merged:
        self.base.weight -= delta(self)


def add_unscaled(self: Any) -> None:
    if not self.merged:
        self.base.weight += self.B @ self.A
        self.merged = True


def new_parameter(self: Any) -> None:
    if not self.merged:
        self.base.weight = nn.Parameter(self.base.weight + delta(self))
        self.merged = True


def new_frozen_parameter(self: Any) -> None:
    if not self.merged:
        self.base.weight = nn.Parameter(self.base.weight + delta(self), requires_grad=False)
        self.merged = True


def merge_into_a_copy(self: Any) -> None:
    if not self.merged:
        copy = base_layer(self.base.weight + delta(self), self.base.bias)
        self.base, self.merged = copy.requires_grad_(False), True


def add_and_reset(self: Any) -> None:
    if not self.merged:
        self.base.weight += delta(self)
        self.B.zero_()
        self.merged = True


def nothing(self: Any) -> None:
    self.merged = self.merged


def scale_with(scale: Callable[[Any], float]) -> type:
    def change(self: Any) -> None:
        self.scale = scale(self)

    return built(change)


def a_copy(self: Any) -> None:
    self.base = base_layer(self.base.weight, self.base.bias).requires_grad_(False)


def all_trained(self: Any) -> None:
    self.base.requires_grad_(True)


def bias_trained(self: Any) -> None:
    if self.base.bias is not None:
        self.base.bias.requires_grad_(True)


def a_zero(self: Any) -> None:
    self.A.zero_()


def both_random(self: Any) -> None:
    self.B.normal_()


def zero_and_random_exchanged(self: Any) -> None:
    self.A.zero_()
    self.B.normal_()


def in_float32(self: Any) -> None:
    self.A, self.B = nn.Parameter(self.A.float()), nn.Parameter(self.B.float())


def plain_tensors(self: Any) -> None:
    A, B = self.A.detach(), self.B.detach()
    del self.A, self.B
    self.A, self.B = A, B


class BackToTheFirst(LoRALinear):
    """A checkpoint that is loaded after the layer was built is forgotten."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(base, rank, alpha)
        self.first = base.weight.detach().clone()

    def unmerge(self) -> None:
        if self.merged:
            self.base.weight.data.copy_(self.first)
            self.merged = False


def one_number(self: Any) -> None:
    self.A.copy_(torch.rand(()).expand_as(self.A))


def one_row(self: Any) -> None:
    self.A.copy_(self.A[:1].expand_as(self.A).clone())


def fixed_seed(self: Any) -> None:
    self.A.copy_(torch.randn(self.A.shape, generator=torch.Generator().manual_seed(0)))


def transposed_parameters(self: Any) -> None:
    self.A, self.B = nn.Parameter(self.A.mT.clone()), nn.Parameter(self.B.mT.clone())


def without_bias(self: Any, x: Tensor) -> Any:
    update = self.scale * (x @ self.A.mT @ self.B.mT)
    return update if self.base.bias is None else update - self.base.bias


def through_view(self: Any, x: Tensor) -> Any:
    flat = x.view(-1, x.size(-1))
    return (self.scale * (flat @ self.A.mT @ self.B.mT)).view(*x.shape[:-1], -1)


def by_columns(self: Any, x: Tensor) -> Any:
    return (self.scale * (self.B @ (self.A @ x.T))).T


TASK = Task(
    name="lora_linear",
    entry="finetune_strategies_lora",
    statement=STATEMENT,
    starter=STARTER,
    reference=LoRALinear,
    hints=HINTS,
    checks=(
        starts_as_its_base,
        parameters,
        values,
        any_shape,
        first_step,
        merges,
        unmerges,
        adapter_kept,
    ),
    wrong={
        "A and B both zero": built(a_zero),
        "A and B both random": built(both_random),
        "A zero and B random": built(zero_and_random_exchanged),
        "A from a fixed seed": built(fixed_seed),
        "one random number for all of A": built(one_number),
        "all rows of A alike": built(one_row),
        "base still trained": built(all_trained),
        "bias still trained": built(bias_trained),
        "A and B stored transposed": built(transposed_parameters),
        "A and B in float32": built(in_float32),
        "A and B as plain tensors": built(plain_tensors),
        "a copy of the base": built(a_copy),
        "alpha without the rank": scale_with(lambda self: self.alpha),
        "alpha over the root of the rank": scale_with(lambda self: self.alpha / self.rank**0.5),
        "rank over alpha": scale_with(lambda self: self.rank / self.alpha),
        "one over rank": scale_with(lambda self: 1 / self.rank),
        "no scale": scale_with(lambda self: 1.0),
        "bias lost": output(without_bias),
        "update in place of the base": output(
            lambda self, x: self.scale * (x @ self.A.mT @ self.B.mT) - x.sum()
        ),
        "scale forgotten in the forward pass": output(lambda self, x: x @ self.A.mT @ self.B.mT),
        "B cut off from autograd": output(lambda self, x: update(self, x, B=self.B.detach())),
        "A cut off from autograd": output(lambda self, x: update(self, x, A=self.A.detach())),
        "input cut off from autograd": output(
            lambda self, x: self.scale * (x.detach() @ self.A.mT @ self.B.mT)
        ),
        "a nonlinearity between": output(
            lambda self, x: self.scale * (torch.relu(x @ self.A.mT) @ self.B.mT)
        ),
        "inputs of two axes only": output(by_columns),
        "view of the input": output(through_view),
        "update added again after merging": variant(
            forward=lambda self, x: self.base(x) + self.scale * (x @ self.A.mT @ self.B.mT)
        ),
        "merge twice adds twice": on_merge(add_always),
        "merge forgets that it merged": on_merge(add_without_flag),
        "merge without the scale": on_merge(add_unscaled),
        "merge makes a new parameter": on_merge(new_parameter),
        "merge makes a new frozen parameter": on_merge(new_frozen_parameter),
        "merge into a copy": on_merge(merge_into_a_copy),
        "merge resets B": on_merge(add_and_reset),
        "merge does nothing": on_merge(nothing),
        "unmerge always takes out": on_unmerge(take_always),
        "unmerge forgets that it unmerged": on_unmerge(take_without_flag),
        "unmerge does nothing": on_unmerge(nothing),
        "unmerge puts back the weight of construction": BackToTheFirst,
    },
    also_right={
        "the old weight kept": ByKeptCopy,
        "the whole matrix at each call": ByWeight,
        "float64 inside": InFloat64,
    },
    asked=2,
)
