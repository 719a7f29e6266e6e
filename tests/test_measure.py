import torch
import torch.nn.functional as F

from lmprep.measure import KeptForBackward, LargestTensor


def test_counts_the_largest_result() -> None:
    a, b = torch.ones(3, 4), torch.ones(4, 50)
    with LargestTensor() as largest:
        (a @ b).sum()
    assert largest.elements == 150


def test_counts_results_inside_other_functions_and_tuples() -> None:
    x = torch.ones(2, 30, requires_grad=True)
    with LargestTensor() as largest:
        F.cross_entropy(x, torch.tensor([0, 1])).backward()
        torch.topk(x, 2)
    assert largest.elements == 60


def test_counts_nothing_outside() -> None:
    with LargestTensor() as largest:
        pass
    torch.ones(10).sum()
    assert largest.elements == 0


def test_kept_counts_what_is_saved_and_nothing_else() -> None:
    x = torch.ones(100, requires_grad=True)
    with KeptForBackward() as kept:
        y = x + 1  # saves nothing
        assert kept.bytes == 0
        y.exp()  # saves its result, float32
    (2 * x).exp()
    assert kept.bytes == 400


def test_kept_counts_a_storage_once_and_whole() -> None:
    x = torch.ones(10, 10, dtype=torch.float64, requires_grad=True)
    with KeptForBackward() as kept:
        (x * x).sum()
        x[:3].square().sum()
        x.T.square().sum()
    assert kept.bytes == 800


def test_kept_does_not_confuse_tensors_that_share_an_address_in_turn() -> None:
    x = torch.ones(1000, requires_grad=True)
    with KeptForBackward() as kept:
        for _ in range(5):
            (gradient,) = torch.autograd.grad(x.exp().sum(), x)
    assert kept.bytes == 5 * 4000
    assert gradient.isfinite().all()
