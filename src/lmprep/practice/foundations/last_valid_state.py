"""Each sequence's last real state, out of a padded batch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, raises, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `last_valid_state(states, lengths)`. A recurrent layer has run over a batch padded at the end, and left
a state after each of the $T$ steps, also after those that are padding. Return for each sequence the state
after its last real step, in the dtype of the states; the batch may be empty. Lengths are whole numbers of
dtype `torch.long` or `torch.int32`, from 1 to $T$: raise a `ValueError` if one is not. What stands in the
padding, NaN and infinities included, must not reach the result, nor may a gradient reach the padding; a real
state is returned as it is, even if it has overflowed.
Gradients flow to the chosen states, and the inputs stay as they are.
"""

STARTER = '''
import torch


def last_valid_state(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The state after each sequence's last real step.

    states: (B, T, H), padded at the end.
    lengths: (B,), whole numbers from 1 to T.
    Returns (B, H), in the dtype of states.
    Raises ValueError for a length below 1 or above T.
    """
    raise NotImplementedError
'''

HINTS = (
    "A sequence of length 1 has one state. At which index of the time axis does it stand? And what does "
    "index −1 mean in Python, if a length of 0 comes along?",
    "You want one step from each row, another one in each. Which kind of indexing picks pairs (row, step), "
    "and not every step for every row?",
    "First refuse lengths outside 1 to T, because the index length − 1 would silently wrap around or fail "
    "elsewhere. Then index the first axis with 0 to B − 1 and the second with the lengths minus one.",
)


def last_valid_state(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    B, T, _ = states.shape
    if ((lengths < 1) | (lengths > T)).any():
        raise ValueError(f"lengths must be from 1 to {T}, got {lengths.tolist()}")
    rows = torch.arange(B, device=states.device)
    return states[rows, lengths.long() - 1]


# What the checks look at.

CASES = (  # T, H, lengths
    (1, 1, (1,)),
    (2, 1, (1,)),
    (2, 2, (2, 1)),
    (3, 3, (3, 1, 2)),
    (5, 2, (2, 5, 2)),
    (4, 6, (4, 4, 1, 3, 2)),
    (9, 4, (7,)),
    (3, 5, (1, 1, 1, 1)),
)
OFF = (
    "the last column instead of the last real step, an index that is off by one, every step for every row "
    "(`states[:, lengths − 1]`), or a mean over time"
)


def by_hand(states: Tensor, lengths: Tensor) -> Tensor:
    return torch.stack([row[n - 1] for row, n in zip(states, lengths.tolist(), strict=True)])


def compare(candidate: Candidate, states: Tensor, lengths: Tensor, cause: str = OFF) -> Call:
    call = Call(candidate, states=states, lengths=lengths)
    answer = call.returns(states.dtype, state=(states.size(0), states.size(2)))
    call.same("state", answer, by_hand(states, lengths), cause=cause, tolerance=0.0)
    return call


def cases(rng: Rng, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    return [(normal(rng, len(n), T, H, dtype=dtype), torch.tensor(n)) for T, H, n in CASES]


# Checks.


def values(candidate: Candidate, rng: Rng) -> None:
    """Returns (B, H): each sequence's state after its last real step."""
    for states, lengths in cases(rng):
        compare(candidate, states, lengths)
    for B, T in ((2, 4), (6, 3), (7, 11)):
        lengths = torch.from_numpy(rng.integers(1, T + 1, size=B))
        compare(candidate, normal(rng, B, T, 3), lengths)


def padding(candidate: Candidate, rng: Rng) -> None:
    """More padding, or other numbers in it, changes nothing; not even NaN or infinity."""
    cause = "padding that is multiplied by 0 or averaged in: 0 · NaN is NaN"
    for filler in (0.0, 7.0, torch.inf, torch.nan):
        for extra in (0, 1, 5):
            for states, lengths in cases(rng)[1:]:
                B, T, H = states.shape
                longer = torch.cat([states, torch.zeros(B, extra, H)], dim=1)
                pads = torch.arange(T + extra) >= lengths[:, None]
                compare(candidate, longer.masked_fill(pads[..., None], filler), lengths, cause)


def zero_states(candidate: Candidate, rng: Rng) -> None:
    """A state of zeros is a state: only the lengths say where a sequence ends."""
    for states, lengths in cases(rng)[2:]:
        states = states.clone()
        states[0, lengths[0] - 1] = 0.0
        compare(
            candidate, states, lengths, "the end looked for in the numbers, as the last row that is not 0"
        )


def infinite_states(candidate: Candidate, rng: Rng) -> None:
    """A state that has overflowed is returned as it stands."""
    for states, lengths in cases(rng)[2:]:
        states = states.clone()
        states[0, lengths[0] - 1, 0] = torch.inf
        compare(candidate, states, lengths, "infinities cleaned out of the real states, not only the padding")


def refusals(candidate: Candidate, rng: Rng) -> None:
    """Raises ValueError for a length below 1 or above T."""
    for T, lengths in ((2, (0,)), (3, (3, 0)), (3, (-1, 2)), (3, (4, 1)), (2, (1, 2, 9)), (2, (-5,))):
        for dtype in (torch.long, torch.int32):
            raises(ValueError, candidate, states=normal(rng, len(lengths), T, 2),
                   lengths=torch.tensor(lengths, dtype=dtype),
                   cause="an index of −1, which is the last step, for a length of 0; an IndexError; or a "
                   "length that is clamped")  # fmt: skip


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Works for float64 states and for lengths of int32."""
    for states, lengths in cases(rng, torch.float64):
        compare(
            candidate, states, lengths.int(), "a constant of another dtype, or an index that must be long"
        )


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients reach the chosen states, and no others, even if NaN stands there."""
    for states, lengths in cases(rng)[1:]:
        B, T, H = states.shape
        pads = torch.arange(T) >= lengths[:, None]
        for filler in (0.0, torch.nan):
            given = states.masked_fill(pads[..., None], filler).requires_grad_()
            call = Call(candidate, states=given, lengths=lengths)
            answer = call.returns(torch.float32, state=(B, H))
            got = call.gradients(state=answer)["states"]
            wanted = torch.zeros(B, T, H)
            wanted[torch.arange(B), lengths - 1] = 1.0
            call.same("the gradient", got, wanted, cause="steps summed or averaged, or a multiplied mask")


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes states that are not contiguous, as a layer without batch_first leaves them."""
    for states, lengths in cases(rng):
        compare(candidate, strided(states), lengths, "`.view` of an input, or strides taken for granted")


def empty_batch(candidate: Candidate, rng: Rng) -> None:
    """Takes an empty batch."""
    for T, H in ((3, 2), (1, 4)):
        states, lengths = torch.zeros(0, T, H), torch.zeros(0, dtype=torch.long)
        call = Call(candidate, states=states, lengths=lengths)
        call.returns(torch.float32, state=(0, H))


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves states and lengths as they were."""
    for states, lengths in cases(rng):
        compare(candidate, states, lengths).unchanged()


# Right answers of other style, and wrong ones.


def checked(pick: Callable[[Tensor, Tensor], Tensor]) -> Candidate:
    """An answer that refuses what it must and then picks."""

    def answer(states: Tensor, lengths: Tensor) -> Tensor:
        if lengths.numel() and not (lengths.min() >= 1 and lengths.max() <= states.size(1)):
            raise ValueError("lengths")
        return pick(states, lengths)

    return answer


def is_last(states: Tensor, lengths: Tensor) -> Tensor:
    """(B, T): where a sequence's last real step is."""
    return torch.arange(states.size(1)) == lengths[:, None] - 1


def gathered(states: Tensor, lengths: Tensor) -> Tensor:
    index = (lengths.long() - 1)[:, None, None].expand(-1, 1, states.size(2))
    return states.gather(1, index).squeeze(1)


def row_by_row(states: Tensor, lengths: Tensor) -> Tensor:
    rows = [states[b, int(n) - 1] for b, n in enumerate(lengths)]
    return torch.stack(rows) if rows else states.new_zeros(0, states.size(2))


def summed(states: Tensor, mask: Tensor) -> Tensor:
    return (states * mask[..., None]).sum(1)


def averaged(states: Tensor, lengths: Tensor) -> Tensor:
    real = torch.arange(states.size(1)) < lengths[:, None]
    return states.masked_fill(~real[..., None], 0.0).sum(1) / lengths[:, None]


def last_nonzero(states: Tensor, lengths: Tensor) -> Tensor:
    steps = torch.arange(1, states.size(1) + 1)
    ends = ((states != 0).any(-1) * (steps <= lengths[:, None]) * steps).amax(1).clamp(min=1)
    return gathered(states, ends)


def unchecked(states: Tensor, lengths: Tensor) -> Tensor:
    return states[torch.arange(len(states)), lengths.long() - 1]


def in_place(states: Tensor, lengths: Tensor) -> Tensor:
    lengths -= 1
    if ((lengths < 0) | (lengths >= states.size(1))).any():
        raise ValueError("lengths")
    return states[torch.arange(len(states)), lengths.long()]


def longest_only(states: Tensor, lengths: Tensor) -> Tensor:
    return states[:, int(lengths.max()) - 1] if len(states) else states[:, 0]


def only_zero_refused(states: Tensor, lengths: Tensor) -> Tensor:
    if (lengths == 0).any():
        raise ValueError("lengths")
    return unchecked(states, lengths)


def through_numpy(states: Tensor, lengths: Tensor) -> Tensor:
    return torch.from_numpy(unchecked(states, lengths).detach().numpy())


TASK = Task(
    name="last_valid_state",
    entry="sequence_models_gates",
    statement=STATEMENT,
    starter=STARTER,
    reference=last_valid_state,
    hints=HINTS,
    checks=(
        values,
        padding,
        zero_states,
        infinite_states,
        refusals,
        dtypes,
        gradients,
        memory,
        empty_batch,
        inputs_kept,
    ),
    wrong={
        "the last column": checked(lambda states, lengths: states[:, -1]),
        "one step late": checked(
            lambda states, lengths: unchecked(states, (lengths + 1).clamp(max=states.size(1)))
        ),
        "one step early": checked(lambda states, lengths: unchecked(states, (lengths - 1).clamp(min=1))),
        "every step for every row": checked(lambda states, lengths: states[:, lengths.long() - 1]),
        "the longest sequence's step for all": checked(longest_only),
        "the first row's step for all": checked(
            lambda states, lengths: states[:, int(lengths[0]) - 1] if len(states) else states[:, 0]
        ),
        "mean over time": checked(lambda states, lengths: states.mean(1)),
        "mean over the real steps": checked(averaged),
        "maximum over time": checked(lambda states, lengths: states.amax(1)),
        "a mask multiplied in": checked(lambda states, lengths: summed(states, is_last(states, lengths))),
        "nan_to_num before a mask": checked(
            lambda states, lengths: summed(states.nan_to_num(), is_last(states, lengths))
        ),
        "ordered by length, as a packed batch": checked(
            lambda states, lengths: unchecked(states, lengths)[lengths.argsort(descending=True)]
        ),
        "counted from the end": checked(
            lambda states, lengths: states[torch.arange(len(states)), -lengths.long()]
        ),
        "gradient cut": checked(lambda states, lengths: unchecked(states.detach(), lengths)),
        "the last step that is not 0": checked(last_nonzero),
        "length 0 taken for the last step": unchecked,
        "lengths clamped": lambda states, lengths: unchecked(states, lengths.clamp(1, states.size(1))),
        "only 0 refused": only_zero_refused,
        "another error than ValueError": lambda states, lengths: (
            unchecked(states, lengths) if ((lengths >= 1) & (lengths <= states.size(1))).all() else 1 / 0
        ),
        "the step's axis kept": checked(lambda states, lengths: unchecked(states, lengths)[:, None]),
        "batch and time exchanged": checked(
            lambda states, lengths: gathered(states.transpose(0, 1), lengths)
        ),
        "one-hot, which wants long": checked(
            lambda states, lengths: states[F.one_hot(lengths - 1, states.size(1)).bool()]
        ),
        "view of the states": checked(
            lambda states, lengths: states.view(-1, states.size(2))[
                torch.arange(len(states)) * states.size(1) + lengths.long() - 1
            ]
        ),
        "a stack of no rows": checked(
            lambda states, lengths: torch.stack([row[n - 1] for row, n in zip(states, lengths, strict=True)])
        ),
        "through numpy": checked(through_numpy),
        "lengths changed in place": in_place,
        "float32 inside": computed_in(torch.float32, last_valid_state),
    },
    also_right={
        "gather": checked(gathered),
        "row by row": checked(row_by_row),
        "a boolean mask as index": checked(lambda states, lengths: states[is_last(states, lengths)]),
        "all but one step set to 0": checked(
            lambda states, lengths: states.masked_fill(~is_last(states, lengths)[..., None], 0.0).sum(1)
        ),
        "take_along_dim": checked(
            lambda states, lengths: states.take_along_dim(lengths.long()[:, None, None] - 1, 1)[:, 0]
        ),
        "einsum of what is left": checked(
            lambda states, lengths: torch.einsum(
                "bth,bt->bh",
                torch.where(is_last(states, lengths)[..., None], states, 0.0),
                is_last(states, lengths).to(states.dtype),
            )
        ),
        "flattened": checked(
            lambda states, lengths: states.flatten(0, 1)[
                torch.arange(len(states)) * states.size(1) + lengths.long() - 1
            ]
        ),
    },
    asked=2,
)
