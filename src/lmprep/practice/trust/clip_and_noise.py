"""The step of DP-SGD: per-example clipping and Gaussian noise."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

Gradients = dict[str, Tensor]

STATEMENT = r"""
Write the step of DP-SGD, `clip_and_noise(gradients, max_norm, noise_multiplier, expected_batch_size,
generator)`, where row $i$ of every tensor belongs to example $i$. An example whose L2 norm, over all
parameters together, exceeds $C$ = `max_norm` is scaled down to norm $C$; any other stays as it is, and a NaN
is not mended but makes the answer NaN at least where it stood. Add up the examples, add independent Gaussian
noise of standard deviation $\sigma C$ to every entry of the sum, where $\sigma$ = `noise_multiplier`, and
divide by `expected_batch_size`, which need not be $B$; for an empty batch the noise is published alone.
All noise comes from `generator`, on the CPU like the gradients: generators in the same state give the same
answer, and a second call with one generator gives fresh noise. Return a dict with the same names, each tensor
of the shape of its parameter and the dtype of the gradients, which all share one.
"""

STARTER = '''
import torch


def clip_and_noise(
    gradients: dict[str, torch.Tensor],
    max_norm: float,
    noise_multiplier: float,
    expected_batch_size: float,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """The noisy mean gradient of DP-SGD.

    gradients: by parameter, (B, *shape), one row an example; B may be 0.
    Returns by parameter, (*shape), in the dtype of its gradients.
    """
    raise NotImplementedError
'''

HINTS = (
    "How far may the sum move when one example joins the batch? Which norm, of what, has to be bounded "
    "for that?",
    "One norm for each example: the root of the sum of its squares over all parameters. From it one factor "
    "for each example, never above 1 and finite for a zero gradient. The noise is added once, to the sum, "
    "so its size has nothing to do with how many examples there are.",
    "Per parameter, flatten everything but the first axis and take norms, then take the norm of these "
    "norms across parameters: one number for each example. Divide C by the larger of it and C. Multiply "
    "rows by their factors and sum over the first axis. Draw standard normal numbers of the sum's shape "
    "from the generator, times sigma times C, add them, and divide everything by the expected size.",
)


def clip_and_noise(
    gradients: dict[str, torch.Tensor],
    max_norm: float,
    noise_multiplier: float,
    expected_batch_size: float,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()]).norm(dim=0)  # (B,)
    factors = max_norm / norms.clamp(min=max_norm)  # (B,), at most 1
    result = {}
    for name, g in gradients.items():
        total = torch.tensordot(factors, g, dims=1)
        noise = torch.randn(total.shape, generator=generator, dtype=total.dtype)
        result[name] = (total + noise_multiplier * max_norm * noise) / expected_batch_size
    return result


# What the checks compare with.

SHAPES: tuple[dict[str, tuple[int, ...]], ...] = (
    {"w": (1,)},
    {"w": (2,)},
    {"w": (2,), "b": (1,)},
    {"w": (3, 2), "b": (3,), "v": (2, 2, 2)},
)
LARGE: tuple[dict[str, tuple[int, ...]], ...] = (  # 20,000 entries each: enough to measure noise
    {"b": (20_000,)},
    {"w": (200, 100), "b": (20_000,)},
    {"w": (200, 100), "b": (20_000,), "v": (20, 20, 50)},
)
NAN_HIDDEN = "`nan_to_num`, or a row left out because it is not finite"


def drawn(rng: Rng, shapes: dict[str, tuple[int, ...]], B: int, dtype: torch.dtype) -> Gradients:
    return {name: normal(rng, B, *shape, dtype=dtype) for name, shape in shapes.items()}


def with_norms(gradients: Gradients, norms: list[float]) -> Gradients:
    """The gradients, each example scaled to a joint norm of its own."""
    for i, norm in enumerate(norms):
        factor = norm / math.sqrt(sum(float(g[i].double().square().sum()) for g in gradients.values()))
        for g in gradients.values():
            g[i] *= factor
    return gradients


def arguments(gradients: Gradients, C: float, sigma: float, size: float, seed: int = 0) -> dict[str, Any]:
    return {
        "gradients": gradients,
        "max_norm": C,
        "noise_multiplier": sigma,
        "expected_batch_size": size,
        "generator": torch.Generator().manual_seed(seed),
    }


def by_hand(gradients: Gradients, C: float, size: float) -> Gradients:
    """One example at a time, in float64, without noise."""
    total = {name: torch.zeros(g.shape[1:], dtype=torch.float64) for name, g in gradients.items()}
    for i in range(len(next(iter(gradients.values())))):
        norm = math.sqrt(sum(float(g[i].double().square().sum()) for g in gradients.values()))
        for name, g in gradients.items():
            total[name] += g[i].double() * (C / norm if norm > C else 1.0)
    return {name: value / size for name, value in total.items()}


def answer_of(call: Call) -> Gradients:
    """The answer, if it is a dict with the right names, shapes and dtypes."""
    gradients = call.inputs["gradients"]
    if not isinstance(call.value, dict) or set(call.value) != set(gradients):
        got = sorted(map(str, call.value)) if isinstance(call.value, dict) else type(call.value).__name__
        call.fail(
            f"a dict with the names {sorted(gradients)}", str(got), "a missing `return`, or a name lost"
        )
    for name, g in gradients.items():
        value = call.value[name]
        if not isinstance(value, Tensor) or value.shape != g.shape[1:] or value.dtype != g.dtype:
            kind = (
                f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            )
            call.fail(f"{name}: {g.dtype} {tuple(g.shape[1:])}", kind.replace("torch.", ""),
                      "examples that were not added up, or a constant of another dtype")  # fmt: skip
    return call.value


def noiseless(
    candidate: Candidate, gradients: Gradients, C: float, size: float, cause: str, tolerance: float = 1e-5
) -> None:
    call = Call(candidate, **arguments(gradients, C, 0.0, size))
    found, wanted = answer_of(call), by_hand(gradients, C, size)
    for name in gradients:
        call.same(name, found[name].double(), wanted[name], cause=cause, tolerance=tolerance)


def noise_of(
    candidate: Candidate, gradients: Gradients, C: float, sigma: float, size: float, rng: Rng
) -> Any:
    """The call, and what the candidate adds, in units of σC/size, which should be standard normal."""
    call = Call(candidate, **arguments(gradients, C, sigma, size, seed=int(rng.integers(2**31))))
    found, clean = answer_of(call), by_hand(gradients, C, size)
    return call, {name: (found[name].double() - clean[name]) / (sigma * C / size) for name in gradients}


def standard(call: Call, name: str, noise: Tensor, cause: str) -> None:
    """Raise unless `noise`, of 20,000 entries or more, looks like standard normal numbers."""
    deviation = float(noise.std())
    call.holds(abs(deviation - 1) < 0.05 and abs(float(noise.mean())) < 0.05,
               expected=f"noise on {name} of mean 0 and standard deviation 1 · σC / expected_batch_size",
               got=f"mean {float(noise.mean()):.3g}, standard deviation {deviation:.3g} of these units",
               cause=cause)  # fmt: skip
    within = float((noise.abs() < 1).double().mean())
    call.holds(abs(within - 0.6827) < 0.025,
               expected=f"Gaussian noise on {name}: 68 % of it within one standard deviation",
               got=f"{100 * within:.0f} %", cause="uniform or Laplace noise")  # fmt: skip


# Checks.


def names_and_shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns one tensor for each parameter, in its shape and the gradients' dtype."""
    for shapes in SHAPES:
        for dtype in (torch.float32, torch.float64):
            answer_of(Call(candidate, **arguments(drawn(rng, shapes, 2, dtype), 1.0, 1.0, 2.0)))


def short_ones_stay(candidate: Candidate, rng: Rng) -> None:
    """Without noise, a single gradient of norm up to C comes out as it is."""
    for shapes in SHAPES:
        for norm in (0.01, 1.9):
            gradients = with_norms(drawn(rng, shapes, 1, torch.float64), [norm])
            noiseless(candidate, gradients, 2.0, 1.0, "scaling every gradient *to* norm C, also the short "
                      "ones, or float32 inside", tolerance=1e-12)  # fmt: skip


def long_ones_shrink(candidate: Candidate, rng: Rng) -> None:
    """A single long gradient comes out with norm C, in its own direction."""
    for shapes in SHAPES[:2]:
        for norm in (3.0, 1e4):
            gradients = with_norms(drawn(rng, shapes, 1, torch.float64), [norm])
            noiseless(candidate, gradients, 0.5, 1.0, "no clipping, entries clamped one by one, which turns "
                      "the direction, or another norm than L2")  # fmt: skip


def all_parameters_jointly(candidate: Candidate, rng: Rng) -> None:
    """The norm that is clipped is over all parameters together."""
    for shapes in SHAPES[2:]:
        gradients = with_norms(drawn(rng, shapes, 1, torch.float64), [1.2])
        noiseless(candidate, gradients, 1.0, 1.0, "each parameter clipped to C by itself: with L of them "
                  "the sensitivity is √L · C")  # fmt: skip


def each_example_by_itself(candidate: Candidate, rng: Rng) -> None:
    """Every example is clipped by itself, before anything is added up."""
    for shapes in SHAPES:
        for dtype in (torch.float32, torch.float64):
            gradients = with_norms(drawn(rng, shapes, 3, dtype), [0.3, 5.0, 40.0])
            noiseless(candidate, gradients, 1.0, 3.0, "clipping the mean or the sum of the batch, as "
                      "`clip_grad_norm_` does: then one example can still turn it around")  # fmt: skip


def expected_size(candidate: Candidate, rng: Rng) -> None:
    """What divides is the expected batch size, not the number of examples that were drawn."""
    for B, size in ((1, 2.0), (3, 2.0), (2, 7.5), (1, 0.5), (0, 0.5)):
        gradients = with_norms(drawn(rng, SHAPES[2], B, torch.float64), [2.0] * B)
        noiseless(candidate, gradients, 1.0, size, "dividing by the size of the batch, which depends on "
                  "who is in it, or never by less than 1")  # fmt: skip


def zero_gradients(candidate: Candidate, rng: Rng) -> None:
    """An example with a zero gradient adds zero, not NaN."""
    for shapes in SHAPES[:3]:
        gradients = drawn(rng, shapes, 2, torch.float32)
        for g in gradients.values():
            g[0] = 0.0
        noiseless(candidate, gradients, 1.0, 2.0, "0/0: a division by the norm before it is compared with C")


def noise_scale(candidate: Candidate, rng: Rng) -> None:
    """The noise has standard deviation σC / expected_batch_size everywhere, whatever the gradients."""
    cause = (
        "noise on every example (√B times too much), noise that is divided twice or not at all, σ "
        "without C, σC used as a variance, or noise that depends on the gradients or their shapes"
    )
    for shapes in LARGE:
        for norms, C, sigma, size in (
            ([1e-3], 0.5, 3.0, 4.0),
            ([0.1, 30.0], 2.0, 0.4, 0.5),
            ([5.0] * 8, 2.0, 1.5, 3.0),
        ):
            gradients = with_norms(drawn(rng, shapes, len(norms), torch.float32), norms)
            call, noise = noise_of(candidate, gradients, C, sigma, size, rng)
            for name in shapes:
                standard(call, name, noise[name], cause)


def empty_batch(candidate: Candidate, rng: Rng) -> None:
    """An empty batch gives the noise alone."""
    gradients = {"w": torch.zeros(0, 3), "b": torch.zeros(0, 2, 2)}
    noiseless(candidate, gradients, 1.0, 2.0, "a mean or a maximum over no example")
    for shapes in LARGE:
        call, noise = noise_of(candidate, drawn(rng, shapes, 0, torch.float32), 0.5, 2.0, 4.0, rng)
        for name in shapes:
            standard(call, name, noise[name],
                     "no noise where nobody was drawn, which tells the world that nobody was")  # fmt: skip


def independent_noise(candidate: Candidate, rng: Rng) -> None:
    """Noise is independent between entries and between parameters."""
    gradients = {"w": torch.zeros(1, 200, 150), "v": torch.zeros(1, 200, 150)}
    call, noise = noise_of(candidate, gradients, 1.0, 1.0, 1.0, rng)
    pairs = {
        "w and v": (noise["w"], noise["v"]),
        "neighboring rows of w": (noise["w"][1:], noise["w"][:-1]),
        "neighboring columns of w": (noise["w"][:, 1:], noise["w"][:, :-1]),
    }
    for name, (a, b) in pairs.items():
        correlation = float((a * b).mean())
        call.holds(abs(correlation) < 0.05, expected=f"uncorrelated noise on {name}",
                   got=f"correlation {correlation:.2f}",
                   cause="a generator seeded anew for each parameter, or one draw used twice")  # fmt: skip


def the_generator_decides(candidate: Candidate, rng: Rng) -> None:
    """All noise comes from `generator`: the same state, the same answer, whatever the global seed."""
    gradients = drawn(rng, SHAPES[3], 2, torch.float32)
    for name in gradients:
        found = []
        for global_seed in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(global_seed)
                call = Call(candidate, **arguments(gradients, 1.0, 1.0, 2.0, seed=5))
            found.append(answer_of(call)[name])
        call.same(name, found[1], found[0], cause="`torch.randn` without `generator=`")
    once = answer_of(Call(candidate, **arguments(gradients, 1.0, 1.0, 2.0, seed=5)))
    call = Call(candidate, **arguments(gradients, 1.0, 1.0, 2.0, seed=6))
    again = Call(candidate, **call.inputs)  # the same generator, moved on
    for other in (call, again):
        for name, value in answer_of(other).items():
            call.holds(not torch.equal(value, once[name]), expected=f"other noise on {name}",
                       got="the same for a generator in another state",
                       cause="a seed set inside the function")  # fmt: skip
    for name, value in answer_of(again).items():
        call.holds(not torch.equal(value, answer_of(call)[name]),
                   expected=f"fresh noise on {name} at a second call",
                   got="the same noise: the difference of two steps would be free of it",
                   cause="a generator that is copied, or put back")  # fmt: skip


def nan_stays(candidate: Candidate, rng: Rng) -> None:
    """A NaN in a gradient stays visible where it stood."""
    for shapes in SHAPES[:3]:
        gradients = drawn(rng, shapes, 2, torch.float32)
        gradients["w"][0, -1] = torch.nan
        call = Call(candidate, **arguments(gradients, 1.0, 1.0, 2.0))
        value = answer_of(call)["w"][-1]
        call.holds(
            value.isnan(), expected="w = nan in its last entry", got=f"{float(value):.4g}", cause=NAN_HIDDEN
        )


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with clipping one example at a time, whatever the sizes and the layout in memory."""
    for shapes in SHAPES:
        for dtype in (torch.float32, torch.float64):
            gradients = {name: strided(g) for name, g in drawn(rng, shapes, 7, dtype).items()}
            noiseless(
                candidate, gradients, 1.3, 6.5, "`.view` of an input, or examples and features exchanged"
            )


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the gradients as they were."""
    for shapes in SHAPES:
        gradients = with_norms(drawn(rng, shapes, 3, torch.float32), [0.1, 3.0, 9.0])
        call = Call(candidate, **arguments(gradients, 1.0, 1.0, 3.0))
        call.unchanged()


# Right answers of other style, and wrong ones.


def joint(gradients: Gradients) -> Tensor:
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()]).sum(0).sqrt()


def variant(
    *,
    factors: Callable[[Tensor, float], Tensor] = lambda n, C: C / n.clamp(min=C),
    norms: Callable[[Gradients], Tensor] = joint,
    std: Callable[[float, float, float, int], float] = lambda sigma, C, size, B: sigma * C / size,
    size_used: Callable[[float, int], float] = lambda size, B: size,
    draw: Callable[..., Tensor] = lambda like, g: torch.randn(like.shape, generator=g, dtype=like.dtype),
    share: Callable[[Tensor, Tensor, float, int], float] = lambda total, n, C, L: 1.0,
) -> Candidate:
    """An answer right in everything but what is given here."""

    def answer(
        gradients: Gradients,
        max_norm: float,
        noise_multiplier: float,
        expected_batch_size: float,
        generator: torch.Generator,
    ) -> Gradients:
        n = norms(gradients)
        f = factors(n, max_norm)
        B = len(f)
        found = {}
        for name, g in gradients.items():
            total = (f.view(-1, *[1] * (g.ndim - 1)) * g).sum(0)
            noise = std(noise_multiplier, max_norm, expected_batch_size, B) * draw(total, generator)
            noise *= share(total, n, max_norm, len(gradients))
            found[name] = total / size_used(expected_batch_size, B) + noise
        return found

    return answer


def one_at_a_time(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    total = {name: torch.zeros_like(g.sum(0)) for name, g in gradients.items()}
    for i in range(len(next(iter(gradients.values())))):
        row = {name: g[i] for name, g in gradients.items()}
        norm = torch.cat([g.reshape(-1) for g in row.values()]).norm()
        scale = max_norm / norm if norm > max_norm else 1.0
        total = {name: total[name] + scale * row[name] for name in row}
    return {
        name: torch.normal(t, noise_multiplier * max_norm, generator=generator) / expected_batch_size
        for name, t in total.items()
    }


def one_long_vector(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    flat = torch.cat([g.flatten(1) for g in gradients.values()], dim=1)
    flat = torch.renorm(flat, p=2, dim=0, maxnorm=max_norm) if len(flat) else flat
    total = flat.sum(0)
    total = total + noise_multiplier * max_norm * torch.randn(
        len(total), generator=generator, dtype=total.dtype
    )
    parts = (total / expected_batch_size).split([g[:0].flatten(1).shape[1] for g in gradients.values()])
    return {name: p.reshape(g.shape[1:]) for (name, g), p in zip(gradients.items(), parts, strict=True)}


def per_parameter(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    rest = (max_norm, noise_multiplier, expected_batch_size, generator)
    return {name: clip_and_noise({name: g}, *rest)[name] for name, g in gradients.items()}


def per_parameter_shared(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    """Each parameter clipped to C/√L, which bounds the joint norm, but is not what is asked for."""
    shared = max_norm / math.sqrt(len(gradients))
    sigma = noise_multiplier * math.sqrt(len(gradients))
    return per_parameter(gradients, shared, sigma, expected_batch_size, generator)


def batch_clipped(mean: bool) -> Candidate:
    def answer(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
        whole = {
            name: g.sum(0, keepdim=True) / (max(len(g), 1) if mean else 1) for name, g in gradients.items()
        }
        size = 1.0 if mean else expected_batch_size
        sigma = noise_multiplier / (expected_batch_size if mean else 1)
        return clip_and_noise(whole, max_norm, sigma, size, generator)

    return answer


def entries_clamped(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    clamped = {name: g.clamp(-max_norm, max_norm) for name, g in gradients.items()}
    answer = variant(factors=lambda n, C: torch.ones_like(n))
    return answer(clamped, max_norm, noise_multiplier, expected_batch_size, generator)


def noise_then_clip(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    noisy = {
        name: g + noise_multiplier * max_norm * torch.randn(g.shape, generator=generator, dtype=g.dtype)
        for name, g in gradients.items()
    }
    return clip_and_noise(noisy, max_norm, 0.0, expected_batch_size, generator)


def nothing_for_nobody(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    if len(next(iter(gradients.values()))) == 0:
        return {name: g.sum(0) for name, g in gradients.items()}
    return clip_and_noise(gradients, max_norm, noise_multiplier, expected_batch_size, generator)


def scaled_in_place(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    factors = max_norm / joint(gradients).clamp(min=max_norm)
    for g in gradients.values():
        g *= factors.view(-1, *[1] * (g.ndim - 1))
    answer = variant(factors=lambda n, C: torch.ones_like(n))
    return answer(gradients, max_norm, noise_multiplier, expected_batch_size, generator)


def seeded_per_parameter(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    seed = int(torch.randint(2**31, (1,), generator=generator))
    draw = lambda like, g: torch.randn(  # noqa: E731
        like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype
    )
    return variant(draw=draw)(gradients, max_norm, noise_multiplier, expected_batch_size, generator)


def nan_mended(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    mended = {name: g.nan_to_num() for name, g in gradients.items()}
    return clip_and_noise(mended, max_norm, noise_multiplier, expected_batch_size, generator)


def in_float32(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    low = {name: g.float() for name, g in gradients.items()}
    found = clip_and_noise(low, max_norm, noise_multiplier, expected_batch_size, generator)
    return {name: value.to(gradients[name].dtype) for name, value in found.items()}


def viewed(gradients, max_norm, noise_multiplier, expected_batch_size, generator):  # type: ignore[no-untyped-def]
    flat = {name: g.view(len(g), g[:0].flatten(1).shape[1]) for name, g in gradients.items()}
    found = clip_and_noise(flat, max_norm, noise_multiplier, expected_batch_size, generator)
    return {name: value.view(gradients[name].shape[1:]) for name, value in found.items()}


def uniform(like: Tensor, g: torch.Generator) -> Tensor:
    return (torch.rand(like.shape, generator=g, dtype=like.dtype) * 2 - 1) * math.sqrt(3)


def global_noise(like: Tensor, g: torch.Generator) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype)


def one_draw(like: Tensor, g: torch.Generator) -> Tensor:
    return torch.randn((), generator=g, dtype=like.dtype).expand(like.shape)


def one_row(like: Tensor, g: torch.Generator) -> Tensor:
    return torch.randn(like.shape[-1:], generator=g, dtype=like.dtype).expand(like.shape)


def fixed_seed(like: Tensor, g: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0), dtype=like.dtype)


def peeked(like: Tensor, g: torch.Generator) -> Tensor:
    copy = torch.Generator()
    copy.set_state(g.get_state())
    return torch.randn(like.shape, generator=copy, dtype=like.dtype)


def batch_norm(gradients: Gradients) -> Tensor:
    """One norm for the whole batch."""
    norms = joint(gradients)
    return norms.norm().expand(len(norms))


TASK = Task(
    name="clip_and_noise",
    entry="dp_sgd",
    statement=STATEMENT,
    starter=STARTER,
    reference=clip_and_noise,
    hints=HINTS,
    checks=(
        names_and_shapes,
        short_ones_stay,
        long_ones_shrink,
        all_parameters_jointly,
        each_example_by_itself,
        expected_size,
        zero_gradients,
        noise_scale,
        empty_batch,
        independent_noise,
        the_generator_decides,
        nan_stays,
        values,
        inputs_kept,
    ),
    wrong={
        "clips the batch's sum": batch_clipped(mean=False),
        "clips the batch's mean": batch_clipped(mean=True),
        "clips each parameter to C": per_parameter,
        "clips each parameter to C over √L": per_parameter_shared,
        "clamps the entries": entries_clamped,
        "clips by the norm of the whole batch": variant(norms=batch_norm),
        "clips the L1 norm": variant(
            norms=lambda gs: torch.stack([g.flatten(1).abs().sum(1) for g in gs.values()]).sum(0)
        ),
        "clips the largest parameter's norm": variant(
            norms=lambda gs: torch.stack([g.flatten(1).norm(dim=1) for g in gs.values()]).amax(0)
        ),
        "does not clip": variant(factors=lambda n, C: torch.ones_like(n)),
        "scales every gradient to C": variant(factors=lambda n, C: C / (n + 1e-12)),
        "leaves long gradients out": variant(factors=lambda n, C: (n <= C).to(n.dtype)),
        "0/0 for a zero gradient": variant(factors=lambda n, C: n.clamp(max=C) / n),
        "adds noise to each example": variant(std=lambda s, C, size, B: s * C * math.sqrt(B) / size),
        "adds noise, then clips": noise_then_clip,
        "divides the noise twice": variant(std=lambda s, C, size, B: s * C / size**2),
        "does not divide the noise": variant(std=lambda s, C, size, B: s * C),
        "noise without C": variant(std=lambda s, C, size, B: s / size),
        "noise of variance σC": variant(std=lambda s, C, size, B: math.sqrt(s * C) / size),
        "noise of twice σC": variant(std=lambda s, C, size, B: 2 * s * C / size),
        "noise of the longest clipped gradient": variant(
            share=lambda total, n, C, L: float(n.amax().clamp(max=C)) / C if len(n) else 1.0
        ),
        "no noise if nobody was clipped": variant(
            share=lambda total, n, C, L: float((n > C).any()) if len(n) else 1.0
        ),
        "a tenth of the noise on vectors": variant(
            share=lambda total, n, C, L: 0.1 if total.ndim == 1 else 1.0
        ),
        "less noise for three parameters": variant(share=lambda total, n, C, L: 0.3 if L >= 3 else 1.0),
        "no noise": variant(std=lambda s, C, size, B: 0.0),
        "divides by the drawn batch size": variant(
            size_used=lambda size, B: max(B, 1), std=lambda s, C, size, B: s * C / max(B, 1)
        ),
        "divides the sum by the drawn batch size": variant(size_used=lambda size, B: max(B, 1)),
        "never divides by less than 1": variant(
            size_used=lambda size, B: max(size, 1.0), std=lambda s, C, size, B: s * C / max(size, 1.0)
        ),
        "does not divide": variant(size_used=lambda size, B: 1.0),
        "publishes nothing for an empty batch": nothing_for_nobody,
        "noise from the global generator": variant(draw=global_noise),
        "noise from a seed of its own": variant(draw=fixed_seed),
        "generator read but not moved on": variant(draw=peeked),
        "the same noise for each parameter": seeded_per_parameter,
        "one number of noise for all entries": variant(draw=one_draw),
        "one row of noise for all rows": variant(draw=one_row),
        "uniform noise": variant(draw=uniform),
        "NaN counted as 0": nan_mended,
        "float32 inside": in_float32,
        "gradients scaled in place": scaled_in_place,
        "view of the gradients": viewed,
    },
    also_right={
        "one example at a time": one_at_a_time,
        "one long vector, torch.renorm": one_long_vector,
        "a mask of long ones": variant(factors=lambda n, C: torch.where(n > C, C / n, 1.0)),
        "opacus' factor, 1e-6 below": variant(factors=lambda n, C: (C / (n + 1e-6)).clamp(max=1.0)),
        "minimum with an infinite quotient": variant(factors=lambda n, C: (C / n).clamp(max=1.0)),
        "noise added to the mean": variant(),
        "noise in float64": variant(
            draw=lambda like, g: torch.randn(like.shape, generator=g, dtype=torch.float64).to(like.dtype)
        ),
    },
    asked=1,
)
