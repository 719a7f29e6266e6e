"""Mixup of one batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `mixup(x, y, alpha, rng)` for a batch of at least one example: `x` has shape (B, …) and `y`, with a
row of probabilities for each example, (B, K); both are finite and float32 or float64, not always the same.
Draw *one* share $\lambda$ from Beta(`alpha`, `alpha`) for the whole batch (`alpha` is finite; at 0,
$\lambda$ is 1), and a permutation of the batch, all being equally likely, that names each example's partner.
Return a tuple of three: $\lambda$ times each example plus $1 - \lambda$ times its partner, the same for `y`
with the same partners, each in the shape, dtype and precision of what came in, and $\lambda$ as a Python
float. All randomness comes from `rng`, a numpy generator: in the same state it gives the same answer, the
next call finds it in another state, and the global random numbers of numpy and torch are neither used nor
changed. Gradients flow to `x` and `y`, which are left as they were.
"""

STARTER = '''
import numpy as np
import torch


def mixup(
    x: torch.Tensor,
    y: torch.Tensor,
    alpha: float,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mix a batch with itself: x (B, ...) and the label rows y (B, K).

    Returns the mixed x, the mixed y, and the share λ of each example's own part.
    """
    raise NotImplementedError
'''

HINTS = (
    "Two random things are drawn for a batch: how much, and with whom. Which of them must x and y share?",
    "One permutation of the row numbers indexes x and y alike. What does Beta(0, 0) mean to numpy?",
    "Take λ = 1 if alpha is 0, else one draw from the generator's beta, as a float. Draw one permutation of "
    "the B rows. Return λ times x plus 1 − λ times x at the permutation, the same for y, and λ.",
)


def mixup(
    x: torch.Tensor, y: torch.Tensor, alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, float]:
    lam = float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0
    partner = torch.from_numpy(rng.permutation(len(x)))
    return lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[partner], lam


# What the checks look at.

SIZES = ((1, 2), (2, 3), (7, 10))
SHAPES = ((1, 4), (3,), (4, 3, 2), (6, 2, 3, 2))
ALPHAS = (0.2, 3.0)


def source(rng: Rng) -> np.random.Generator:
    return np.random.default_rng(int(rng.integers(2**31)))


def rows_of_probabilities(rng: Rng, B: int, K: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(rng.dirichlet(np.ones(K), size=B)).to(dtype)


def inputs(rng: Rng, *shape: int, dtype: torch.dtype = torch.float32, **options: Any) -> dict[str, Any]:
    y = rows_of_probabilities(rng, shape[0], 3, dtype)
    return {"x": normal(rng, *shape, dtype=dtype), "y": y, "alpha": 1.0, "rng": source(rng)} | options


def row_names(
    rng: Rng, B: int, K: int = 3, dtype: torch.dtype = torch.float64, **options: Any
) -> dict[str, Any]:
    """x says which rows an answer is made of: row i of it is 1 in column i, and 0 elsewhere."""
    return inputs(rng, B, 1, dtype=dtype) | {"x": torch.eye(B, dtype=dtype)} | options


def answer(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, Tensor, Tensor, float]:
    call = Call(candidate, **given)
    parts = call._parts("x, y, λ", 3)
    for name, got in zip(("x", "y"), parts, strict=False):
        asked = given[name]
        call.holds(isinstance(got, Tensor), expected=f"mixed {name}: a torch.Tensor", got=type(got).__name__,
                   cause="another order of the results, or numpy arrays")  # fmt: skip
        call.holds(got.shape == asked.shape, got=f"{tuple(got.shape)}",
                   expected=f"mixed {name} of shape {tuple(asked.shape)}",
                   cause="a λ with an axis of its own, or x and its partners stacked")  # fmt: skip
        call.holds(got.dtype == asked.dtype, got=str(got.dtype), expected=f"mixed {name} of {asked.dtype}",
                   cause="λ as a tensor or an array of another dtype, or a dtype spelled out")  # fmt: skip
    lam = parts[2]
    call.holds(isinstance(lam, float), expected="λ: a Python float", got=type(lam).__name__,
               cause="a missing `float(…)` or `.item()`, or one λ per example")  # fmt: skip
    call.holds(
        0 <= lam <= 1, expected="λ from 0 to 1", got=f"{lam:.4g}", cause="another distribution than Beta"
    )
    return call, parts[0], parts[1], float(lam)


def partners(call: Call, mixed: Tensor, lam: float) -> list[int]:
    """Who was mixed with whom, of `row_names`, if the answer is λ of each row and 1 − λ of one other."""
    rest = mixed.double() - lam * torch.eye(len(mixed), dtype=torch.float64)
    found = [int(k) for k in rest.argmax(dim=1)]
    want = lam * torch.eye(len(mixed), dtype=torch.float64)
    want[torch.arange(len(mixed)), found] += 1 - lam
    call.same("mixed x, for the rows of an identity matrix", mixed.double(), want, tolerance=1e-6,
              cause="λ and 1 − λ exchanged, one λ per example, shares that do not sum to 1, or a returned λ "
              "that is not the one used")  # fmt: skip
    return found


def usable(draws: list[tuple[Call, Tensor, Tensor, float]]) -> list[tuple[Call, Tensor, Tensor, float]]:
    """Draws in which both parts can be read."""
    return [draw for draw in draws if 1e-3 < draw[3] < 1 - 1e-3]


# Checks.


def three_parts(candidate: Candidate, rng: Rng) -> None:
    """Returns mixed x, mixed y and λ, in shape and dtype."""
    for shape in SHAPES:
        for dtype in (torch.float32, torch.float64):
            answer(candidate, inputs(rng, *shape, dtype=dtype))
            answer(candidate, inputs(rng, *shape) | {"y": rows_of_probabilities(rng, shape[0], 4, dtype)})


def share_and_rest(candidate: Candidate, rng: Rng) -> None:
    """Each row is λ of itself and 1 − λ of one partner, with one λ for the batch."""
    for B, _ in SIZES:
        for alpha in ALPHAS:
            call, mixed, _, lam = answer(candidate, row_names(rng, B, alpha=alpha))
            partners(call, mixed, lam)


def everyone_once(candidate: Candidate, rng: Rng) -> None:
    """Every row is the partner of exactly one."""
    for B, _ in SIZES[1:]:
        for call, mixed, _, lam in usable([answer(candidate, row_names(rng, B)) for _ in range(4)]):
            times = np.bincount(partners(call, mixed, lam), minlength=B)
            call.same("times that each row is a partner", times, np.ones(B),
                      cause="partners drawn with replacement")  # fmt: skip


def same_partners(candidate: Candidate, rng: Rng) -> None:
    """y is mixed with the same partners and the same λ as x."""
    for B, K in SIZES:
        for alpha in ALPHAS:
            given = row_names(rng, B, alpha=alpha, y=rows_of_probabilities(rng, B, K, torch.float64))
            call, mixed, labels, lam = answer(candidate, given)
            own, other = given["y"], given["y"][partners(call, mixed, lam)]
            call.same("mixed y", labels, lam * own + (1 - lam) * other,
                      cause="a second permutation or λ for y, or y not mixed, or rounded")  # fmt: skip


def any_shape(candidate: Candidate, rng: Rng) -> None:
    """Mixes x of any shape, by example."""
    for shape in SHAPES:
        for dtype in (torch.float32, torch.float64):
            B = shape[0]
            given = inputs(rng, *shape, dtype=dtype, y=torch.eye(B, dtype=torch.float64))
            call, got, labels, lam = answer(candidate, given)
            other = given["x"][partners(call, labels, lam)]
            call.same("mixed x", got, lam * given["x"] + (1 - lam) * other,
                      cause="a permutation of another axis, or a broadcast over the wrong one")  # fmt: skip


def any_pairing(candidate: Candidate, rng: Rng) -> None:
    """All permutations are equally likely: far and near, both ways, and sometimes oneself."""
    B = 201
    low, high = 0.5 * B, 0.76 * B  # of B steps drawn at random, 1 − 1/e are distinct: 127 ± 5
    given = row_names(rng, B, alpha=50.0)  # λ near ½, so that partners can be read
    for _ in range(2):
        call, mixed, _, lam = answer(candidate, given)
        found, place = np.array(partners(call, mixed, lam)), np.arange(B)
        for name, steps in (("partner − row", found - place), ("partner + row", found + place)):
            distinct = len(set((steps % B).tolist()))
            call.holds(low <= distinct <= high, got=str(distinct),
                       expected=f"{low:.0f} to {high:.0f} distinct values of {name}, modulo {B}",
                       cause="a roll, a reversal or a fixed order for a permutation")  # fmt: skip
        distance = abs(found - place).mean() / B  # 1/3 on average, ± 0.02
        call.holds(0.22 < distance < 0.44, expected="partners a third of the batch away, on average",
                   got=f"{distance:.2f} of it", cause="partners from a part of the batch alone")  # fmt: skip
    given = row_names(rng, 3, alpha=50.0)
    met = 0
    for _ in range(25):  # one permutation of three in three has no fixed row
        call, mixed, _, lam = answer(candidate, given)
        met += any(j == i for i, j in enumerate(partners(call, mixed, lam)))
    call.holds(met > 0, expected="a row that is its own partner in some of 25 calls", got="none",
               cause="permutations drawn again until nobody meets itself")  # fmt: skip


def nothing_mixed(candidate: Candidate, rng: Rng) -> None:
    """At alpha = 0, λ is 1 and x and y come back."""
    cause = "Beta(0, 0) asked for, or a λ of 0 or ½ put in its place"
    for shape in SHAPES:
        given = inputs(rng, *shape, alpha=0.0)
        call, got, labels, lam = answer(candidate, given)
        call.same("λ", lam, 1.0, cause=cause)
        call.same("mixed x", got, given["x"], cause=cause)
        call.same("mixed y", labels, given["y"], cause=cause)


def moment(alpha: float, order: int) -> float:
    """The mean of (λ − ½) to an even power, under Beta(alpha, alpha)."""
    odd = np.arange(1, order, 2)
    return float(np.prod(odd / (2 * alpha + odd)) / 2**order)


def beta(candidate: Candidate, rng: Rng) -> None:
    """λ has the mean, variance and fourth moment of Beta(alpha, alpha)."""
    calls = 60
    cause = "a uniform λ whatever alpha is, max(λ, 1 − λ), Beta(alpha, 1), or a fixed λ"
    for alpha in (0.1, 8.0):
        given = inputs(rng, 2, 1, alpha=alpha)
        draws = [answer(candidate, given) for _ in range(calls)]
        off = np.array([draw[3] for draw in draws]) - 0.5
        for name, power in (("mean of λ − ½", 1), ("variance of λ", 2), ("mean of (λ − ½)⁴", 4)):
            want = moment(alpha, power) if power > 1 else 0.0
            allowed = 6 * ((moment(alpha, 2 * power) - want**2) / calls) ** 0.5
            found = (off**power).mean()
            draws[0][0].holds(abs(found - want) <= allowed, got=f"{found:.4g}", cause=cause,
                              expected=f"{name} = {want:.4g} ± {allowed:.2g} in {calls} calls")  # fmt: skip


def far_alphas(candidate: Candidate, rng: Rng) -> None:
    """Tiny and huge alphas give λ at an end and near ½, and numbers throughout."""
    for alpha, place in ((1e-3, "0 or 1"), (1e6, "½")):
        draws = [answer(candidate, row_names(rng, 3, alpha=alpha)) for _ in range(10)]
        for call, mixed, _, _ in draws:
            call.holds(mixed.isfinite().all(), expected="finite numbers", got="NaN or infinity",
                       cause="a quotient of two gamma draws that are both 0")  # fmt: skip
        off = [abs(lam - 0.5) for _, _, _, lam in draws]
        near = sum(distance > 0.4 if alpha < 1 else distance < 0.01 for distance in off)
        draws[0][0].holds(near >= 8, got=f"{near} of 10", cause="alpha clipped or not used",
                          expected=f"λ near {place} in at least 8 of 10 calls")  # fmt: skip


def sizes_of_numbers(candidate: Candidate, rng: Rng) -> None:
    """Tiny and huge entries are mixed like any other."""
    for size in (1e-30, 1e30):
        given = inputs(rng, 5, 3, y=torch.eye(5, dtype=torch.float64))
        given["x"] = given["x"] * size
        call, got, labels, lam = answer(candidate, given)
        other = given["x"][partners(call, labels, lam)]
        call.same(f"mixed x / {size:g}", got / size, (lam * given["x"] + (1 - lam) * other) / size,
                  cause="a clamp, or a tiny number added")  # fmt: skip


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes x and y that are not contiguous."""
    for shape in ((4, 3), (5, 3, 2)):
        given = inputs(rng, *shape, y=strided(rows_of_probabilities(rng, shape[0], 3)))
        given["x"] = strided(given["x"])
        state = given["rng"].bit_generator.state
        call, got, labels, _ = answer(candidate, given)
        again = np.random.default_rng()
        again.bit_generator.state = state
        plain = {name: given[name].contiguous() for name in ("x", "y")}
        _, want, want_labels, _ = answer(candidate, given | plain | {"rng": again})
        call.same("mixed x", got, want, cause="`.view` of an input")
        call.same("mixed y", labels, want_labels, cause="`.view` of an input")


def repeatable(candidate: Candidate, rng: Rng) -> None:
    """The generator alone decides: same state, same answer; the next call finds another state."""
    number = int(rng.integers(2**31))
    given = inputs(rng, 9, 2, alpha=2.0)
    sources = [np.random.default_rng(number) for _ in range(2)]
    first, second = (_apart(candidate, given | {"rng": each}, k) for k, each in enumerate(sources))
    cause = "a draw that does not come from `rng`"
    second[0].same("mixed x, from the same state again", second[1], first[1], tolerance=0.0, cause=cause)
    call, _, _, lam = answer(candidate, given | {"rng": sources[1]})
    call.holds(lam != second[3], expected="another λ from the same generator's next state", got="the same λ",
               cause="a generator seeded anew, or drawn from as a copy")  # fmt: skip


def _apart(candidate: Candidate, given: dict[str, Any], elsewhere: int) -> tuple[Call, Tensor, Tensor, float]:
    """The answer where the global random numbers stand at `elsewhere`, if it leaves them there."""
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    try:
        torch_state = torch.manual_seed(elsewhere).get_state()
        np.random.seed(elsewhere)  # noqa: NPY002
        numpy_state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
        result = answer(candidate, given)
        moved = not torch.equal(torch_state, torch.random.get_rng_state())
        moved |= np.random.get_state()[2] != 624 or bool((np.random.get_state()[1] != numpy_state).any())  # type: ignore[index]  # noqa: NPY002
    finally:
        torch.random.set_rng_state(torch_before)
        np.random.set_state(numpy_before)  # noqa: NPY002
    result[0].holds(not moved, expected="the global random states of torch and numpy as they were",
                    got="another state", cause="`torch.randperm` or `np.random.beta` used")  # fmt: skip
    return result


def gradients_flow(candidate: Candidate, rng: Rng) -> None:
    """Gradients reach x and y: λ by its own row, 1 − λ by the row whose partner it is."""
    for shape in ((3,), (4, 3)):
        given = inputs(rng, *shape, dtype=torch.float64, alpha=2.0)
        given |= {name: given[name].requires_grad_() for name in ("x", "y")}
        call, got, labels, _ = answer(candidate, given)
        for name, slope in call.gradients(x=got, y=labels).items():
            call.same(f"gradient of the sum for {name}", slope, torch.ones(slope.shape),
                      cause="a partner that is detached, or computed in numpy")  # fmt: skip


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves x and y as they were."""
    for shape in SHAPES[1:]:
        Call(candidate, **inputs(rng, *shape)).unchanged()


# Right answers of other style, and wrong ones.


def by_lerp(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    partner = rng.permutation(x.shape[0])
    lam = rng.beta(alpha, alpha) if alpha else 1.0
    return torch.lerp(x[partner], x, lam), torch.lerp(y[partner], y, lam), float(lam)


def by_loop(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    lam = 1.0 if alpha == 0 else rng.beta(alpha, alpha)
    order = list(range(len(x)))
    rng.shuffle(order)
    pairs = list(enumerate(order))
    new_x = torch.stack([x[i] * lam + x[j] * (1 - lam) for i, j in pairs])
    return new_x, torch.stack([y[i] * lam + y[j] * (1 - lam) for i, j in pairs]), float(lam)


def by_matrix(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """One matrix λ I + (1 − λ) P mixes both."""
    lam = float(rng.beta(alpha, alpha)) if alpha else 1.0
    B = len(x)
    mix = lam * torch.eye(B, dtype=torch.float64)
    mix[torch.arange(B), torch.from_numpy(rng.permutation(B))] += 1 - lam
    new_x = (mix @ x.double().reshape(B, -1)).reshape(x.shape).to(x.dtype)
    return new_x, (mix @ y.double()).to(y.dtype), lam


def by_argsort(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    partner = torch.tensor(np.argsort(rng.random(len(x))))
    lam = float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0
    return x + (1 - lam) * (x[partner] - x), y + (1 - lam) * (y[partner] - y), lam


Draw = Callable[[float, np.random.Generator], float]
Order = Callable[[int, np.random.Generator], Any]


def beta_share(alpha: float, rng: np.random.Generator) -> float:
    return float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0


def permutation(B: int, rng: np.random.Generator) -> Any:
    return rng.permutation(B)


def changed(draw: Draw = beta_share, order: Order = permutation, labels: Order | None = None) -> Candidate:
    """The right answer with another λ, other partners, or other partners for y alone."""

    def answer(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
        lam, partner = draw(alpha, rng), order(len(x), rng)
        for_y = partner if labels is None else labels(len(x), rng)
        return lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[for_y], lam

    return answer


def derangement(B: int, rng: np.random.Generator) -> Any:
    while B > 1:
        order = rng.permutation(B)
        if (order != np.arange(B)).all():
            return order
    return np.zeros(1, dtype=int)


def within_halves(B: int, rng: np.random.Generator) -> Any:
    return np.concatenate([rng.permutation(B // 2), B // 2 + rng.permutation(B - B // 2)])


def reported(share: Callable[[float], float]) -> Candidate:
    """Mixes rightly and returns another λ."""

    def answer(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
        *mixed, lam = mixup(x, y, alpha, rng)
        return mixed[0], mixed[1], share(lam)

    return answer


def inputs_only(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    mixed, _, lam = mixup(x, y, alpha, rng)
    return mixed, y, lam


def two_shares(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    lam, other, partner = beta_share(alpha, rng), beta_share(alpha, rng), rng.permutation(len(x))
    return lam * x + (1 - lam) * x[partner], other * y + (1 - other) * y[partner], lam


def share_per_row(
    x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    lam = torch.tensor([beta_share(alpha, rng) for _ in range(len(x))], dtype=x.dtype)
    column, partner = lam.reshape(-1, *[1] * (x.ndim - 1)), rng.permutation(len(x))
    soft = lam[:, None].to(y.dtype)
    return column * x + (1 - column) * x[partner], soft * y + (1 - soft) * y[partner], float(lam[0])


def tensor_share(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, Any]:
    lam = np.float64(beta_share(alpha, rng))
    partner = rng.permutation(len(x))
    new_x, new_y = lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[partner]
    return new_x, new_y, torch.tensor(lam)


def from_torch(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    lam, partner = beta_share(alpha, rng), torch.randperm(len(x))
    return lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[partner], lam


def from_numpys_own(
    x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    lam = float(np.random.beta(alpha, alpha)) if alpha > 0 else 1.0  # noqa: NPY002
    partner = rng.permutation(len(x))
    return lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[partner], lam


def in_place(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    lam, partner = beta_share(alpha, rng), rng.permutation(len(x))
    if x.requires_grad or y.requires_grad:
        return lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[partner], lam
    x *= lam
    x += (1 - lam) / lam * x[partner] if lam > 0 else 0
    return x, lam * y + (1 - lam) * y[partner], lam


def partner_detached(
    x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    lam, partner = beta_share(alpha, rng), rng.permutation(len(x))
    return lam * x + (1 - lam) * x.detach()[partner], lam * y + (1 - lam) * y.detach()[partner], lam


def seeded(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    return mixup(x, y, alpha, np.random.default_rng(0))


def no_zero(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    lam, partner = float(rng.beta(alpha, alpha)), rng.permutation(len(x))
    return lam * x + (1 - lam) * x[partner], lam * y + (1 - lam) * y[partner], lam


def rounded_labels(
    x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    mixed, soft, lam = mixup(x, y, alpha, rng)
    return mixed, torch.nn.functional.one_hot(soft.argmax(dim=1), y.size(1)).to(y.dtype), lam


def in_float32(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    mixed, soft, lam = mixup(x.float(), y.float(), alpha, rng)
    return mixed.to(x.dtype), soft.to(y.dtype), lam


def typed_by_x(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    mixed, soft, lam = mixup(x, y, alpha, rng)
    return mixed, soft.to(x.dtype), lam


def x_in_float32(
    x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, float]:
    mixed, soft, lam = mixup(x.float(), y, alpha, rng)
    return mixed.to(x.dtype), soft, lam


def clamped(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    mixed, soft, lam = mixup(x, y, alpha, rng)
    return mixed.clamp(-1e6, 1e6), soft, lam


def by_view(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    mixed, soft, lam = mixup(x.view(len(x), -1), y, alpha, rng)
    return mixed.view(x.shape), soft, lam


TASK = Task(
    name="mixup",
    entry="augmentation_leakage_mixup",
    statement=STATEMENT,
    starter=STARTER,
    reference=mixup,
    hints=HINTS,
    checks=(
        three_parts,
        share_and_rest,
        everyone_once,
        same_partners,
        any_shape,
        nothing_mixed,
        any_pairing,
        beta,
        far_alphas,
        sizes_of_numbers,
        repeatable,
        memory,
        gradients_flow,
        inputs_kept,
    ),
    wrong={
        "another permutation for y": changed(labels=permutation),
        "inputs mixed alone": inputs_only,
        "another λ for y": two_shares,
        "one λ per example": share_per_row,
        "labels rounded": rounded_labels,
        "own part at least half": changed(lambda a, rng: max(b := beta_share(a, rng), 1 - b)),
        "partner's part at least half": changed(
            lambda a, rng: min(b := beta_share(a, rng), 1 - b) if a else 1.0
        ),
        "uniform λ": changed(lambda a, rng: float(rng.uniform()) if a else 1.0),
        "alpha clipped": changed(lambda a, rng: beta_share(min(max(a, 0.05), 60), rng) if a else 1.0),
        "λ of one half": changed(lambda a, rng: 0.5 if a else 1.0),
        "Beta(alpha, 1)": changed(lambda a, rng: float(rng.beta(a, 1)) if a else 1.0),
        "normal λ of the right variance": changed(
            lambda a, rng: float(np.clip(rng.normal(0.5, (4 * (2 * a + 1)) ** -0.5), 0, 1)) if a else 1.0
        ),
        "0 for alpha 0": changed(lambda a, rng: float(rng.beta(a, a)) if a else 0.0),
        "Beta(0, 0)": no_zero,
        "partners with replacement": changed(order=lambda B, rng: rng.integers(B, size=B)),
        "the batch reversed": changed(order=lambda B, rng: np.arange(B)[::-1].copy()),
        "the batch rolled by one": changed(order=lambda B, rng: np.roll(np.arange(B), 1)),
        "the batch rolled at random": changed(order=lambda B, rng: np.roll(np.arange(B), rng.integers(B))),
        "partners from the same half": changed(order=within_halves),
        "never oneself": changed(order=derangement),
        "λ and 1 − λ exchanged": reported(lambda lam: 1 - lam),
        "λ not the one used": reported(lambda lam: lam / 2),
        "λ as a tensor": tensor_share,
        "partners from torch's own numbers": from_torch,
        "λ from numpy's own numbers": from_numpys_own,
        "rng seeded anew": seeded,
        "x changed in place": in_place,
        "partner detached": partner_detached,
        "float32 inside": in_float32,
        "float32 inside for x": x_in_float32,
        "x clamped": clamped,
        "a view of x": by_view,
        "y in the dtype of x": typed_by_x,
        "partner left out": lambda x, y, alpha, rng: (*mixup(x, y, 0.0, rng)[:2], beta_share(alpha, rng)),
    },
    also_right={
        "lerp, permutation first": by_lerp,
        "a loop over a shuffled list": by_loop,
        "a mixing matrix, float64 inside": by_matrix,
        "argsort of uniform numbers": by_argsort,
    },
    asked=1,
)
