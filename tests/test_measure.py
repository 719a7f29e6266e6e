import torch
import torch.nn.functional as F

from lmprep.measure import LargestTensor


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
