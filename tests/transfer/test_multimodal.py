"""lmprep.transfer.multimodal against transformers' CLIP, scikit-learn, torch's losses, and at the edges."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score
from torch import Tensor

from lmprep.pretraining.contrastive import info_nce
from lmprep.transfer.crosslingual import precision_at_one
from lmprep.transfer.multimodal import (
    CAPTIONS,
    Fusion,
    TwoTowers,
    caption_ids,
    clip_loss,
    cosines,
    draw_pictures,
    held_out_pairs,
    recall_at_k,
    spelled,
    zero_shot,
)

seeds = st.integers(0, 2**31)
sizes = st.integers(1, 9)
scales = st.sampled_from([-5.0, 0.0, 2.66, 4.6])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def both_ways(scores: Tensor, targets: Tensor) -> Tensor:
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.T, targets)) / 2


# --- the loss ------------------------------------------------------------------------------------------


def test_it_is_transformers_clip_loss() -> None:
    from transformers import CLIPConfig, CLIPModel

    small = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config=small | {"vocab_size": 20, "max_position_embeddings": 6, "eos_token_id": 19},
        vision_config=small | {"image_size": 4, "patch_size": 2},
        projection_dim=5,
    )
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    ids = torch.randint(0, 18, (6, 5), generator=generator(1))
    ids[:, -1] = 19
    with torch.no_grad():
        model.logit_scale.fill_(1.3)  # CLIP's start would leave little but log N of a random model
        out = model(
            input_ids=ids, pixel_values=torch.randn(6, 3, 4, 4, generator=generator(2)), return_loss=True
        )
        # out's own embeddings have length 1 already
        ours = clip_loss(3 * out.image_embeds, 0.2 * out.text_embeds, model.logit_scale)
        scores = cosines(out.image_embeds, out.text_embeds) * model.logit_scale.exp()
    assert out.loss.item() != pytest.approx(math.log(6), abs=1e-4)
    torch.testing.assert_close(ours, out.loss, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, out.logits_per_image, atol=1e-5, rtol=0)
    assert zero_shot(out.image_embeds, out.text_embeds).equal(out.logits_per_image.argmax(1))


@settings(max_examples=30)
@given(N=sizes, D=sizes, s=scales, seed=seeds)
def test_it_is_info_nce_at_temperature_one_over_the_scale(N: int, D: int, s: float, seed: int) -> None:
    images, texts = normal(2, N, D, seed=seed)
    scale = torch.tensor(s, dtype=torch.float64)
    expected = info_nce(images, texts, (-scale).exp())
    torch.testing.assert_close(clip_loss(images, texts, scale), expected, atol=1e-9, rtol=1e-9)


@settings(max_examples=30)
@given(N=sizes, s=scales, groups=st.integers(1, 5), seed=seeds)
def test_the_mask_leaves_twins_out_and_nothing_else(N: int, s: float, groups: int, seed: int) -> None:
    images, texts = normal(2, N, 4, seed=seed)
    captions = torch.randint(-2, groups - 1, (N,), generator=generator(seed))
    table = F.cosine_similarity(images[:, None], texts, dim=-1) * math.exp(s)
    expected = 0.0
    for i in range(N):
        kept = [j for j in range(N) if j == i or captions[j] != captions[i]]
        expected += (table[i, kept].logsumexp(0) + table[kept, i].logsumexp(0) - 2 * table[i, i]).item()
    loss = clip_loss(images, texts, torch.tensor(s, dtype=torch.float64), captions)
    assert loss.item() == pytest.approx(expected / (2 * N), abs=1e-9)


@settings(max_examples=30)
@given(N=sizes, s=scales, seed=seeds)
def test_equal_texts_are_soft_targets(N: int, s: float, seed: int) -> None:
    captions = torch.randint(0, 3, (N,), generator=generator(seed))
    images, texts = normal(N, 4, seed=seed), normal(3, 4, seed=seed + 1)[captions]
    same = (captions[:, None] == captions).double()
    table = F.cosine_similarity(images[:, None], texts, dim=-1) * math.exp(s)
    expected = both_ways(table, same / same.sum(1, keepdim=True))
    loss = clip_loss(images, texts, torch.tensor(s, dtype=torch.float64))
    torch.testing.assert_close(loss, expected, atol=1e-9, rtol=1e-9)
    floor = same.sum(1).log().mean().item()
    assert loss.item() >= floor - 1e-9


def test_perfect_vectors_reach_the_floor_and_the_mask_removes_it() -> None:
    captions = torch.tensor([0, 1, 0, 2, 0, 1])
    vectors, scale = torch.eye(3, dtype=torch.float64)[captions], torch.tensor(5.0, dtype=torch.float64)
    floor = (3 * math.log(3) + 2 * math.log(2)) / 6
    assert clip_loss(vectors, vectors, scale).item() == pytest.approx(floor, abs=1e-9)
    assert clip_loss(vectors, vectors, scale, captions).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("captions", [None, torch.tensor([1, 1, 4, 1])])
def test_gradients_are_those_of_finite_differences(captions: Tensor | None) -> None:
    images, texts = (z.requires_grad_() for z in normal(2, 4, 3))
    scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *x: clip_loss(*x, captions), (images, texts, scale))


def test_nothing_is_clamped_and_float32_stays_finite() -> None:
    images = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = clip_loss(images, -images.detach(), torch.tensor(7.0))
    loss.backward()
    assert loss.item() == pytest.approx(2 * math.exp(7), rel=1e-6)
    assert images.grad is not None and images.grad.isfinite().all()


# --- retrieval -----------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(N=st.integers(3, 12), k=st.integers(1, 12), seed=seeds)
def test_recall_is_scikit_learns_top_k_accuracy(N: int, k: int, seed: int) -> None:
    scores = normal(N, N, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # k ≥ N: "will result in a perfect score"
        expected = top_k_accuracy_score(range(N), scores.numpy(), k=k)
    assert recall_at_k(scores, k) == pytest.approx(expected, abs=1e-12)
    assert recall_at_k(scores, 1) == pytest.approx(precision_at_one(scores.numpy()), abs=1e-12)


def test_a_partner_is_ranked_last_of_its_equals() -> None:
    scores = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [3.0, 3.0, 3.0]])
    assert [recall_at_k(scores, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    infinite = torch.full((2, 2), -torch.inf)
    assert recall_at_k(infinite, 1) == 0


def test_zero_shot_takes_the_nearest_and_of_equal_ones_the_first() -> None:
    images = torch.tensor([[0.1, 0.0], [5.0, 5.0], [0.0, 0.0]])
    texts = torch.tensor([[9.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    assert zero_shot(images, texts).tolist() == [0, 0, 0]
    assert zero_shot(texts, images[:2]).tolist() == [0, 1, 1]


# --- pictures and captions -----------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_every_digit_is_held_out_twice_on_each_side(seed: int) -> None:
    table = held_out_pairs(generator(seed)).view(10, 10)
    assert (table.sum(0) == 2).all() and (table.sum(1) == 2).all()


@settings(max_examples=20)
@given(N=sizes, seed=seeds)
def test_pictures_show_what_the_caption_says(N: int, seed: int) -> None:
    labels = torch.randperm(40, generator=generator(seed)) % 10
    images = (100.0 * labels + torch.arange(40))[:, None, None].expand(40, 8, 8)  # digit and index
    pairs = torch.randint(0, 10, (N, 2), generator=generator(seed + 1))
    pictures = draw_pictures(images, labels, pairs, generator(seed))
    assert pictures.shape == (N, 8, 16)
    sides = torch.stack([pictures[:, 0, 0], pictures[:, 0, 8]], dim=1)
    assert (sides // 100).long().equal(pairs)
    assert set((sides % 100).flatten().tolist()) <= set(range(40))


def test_each_image_of_a_digit_is_drawn() -> None:
    labels = torch.arange(30) % 10
    images = torch.arange(30.0)[:, None, None].expand(30, 8, 8)
    pictures = draw_pictures(images, labels, torch.full((200, 2), 7), generator())
    assert set(pictures.flatten().tolist()) == {7.0, 17.0, 27.0}


def test_captions_are_numbered_and_spelled() -> None:
    assert caption_ids(CAPTIONS).equal(torch.arange(100))
    assert caption_ids(torch.tensor([[3, 7], [7, 3]])).tolist() == [37, 73]
    assert spelled(torch.tensor([3, 7])) == "three seven"


# --- towers --------------------------------------------------------------------------------------------


def test_a_bag_ties_on_mirrors_and_ordered_words_do_not() -> None:
    mirrored = CAPTIONS.flip(1)
    for ordered in (True, False):
        towers = TwoTowers(ordered, generator(1), generator(2))
        texts, mirrors = towers.text(CAPTIONS), towers.text(mirrored)
        unequal = CAPTIONS[:, 0] != CAPTIONS[:, 1]
        apart = (texts - mirrors).abs().amax(1)[unequal]
        assert (apart > 1e-3).all() if ordered else (apart == 0).all()


def test_a_bag_starts_like_the_ordered_tower_and_the_scale_as_clips() -> None:
    ordered, bag = (TwoTowers(o, generator(1), generator(2)) for o in (True, False))
    for ours, theirs in zip(ordered.parameters(), bag.parameters(), strict=True):
        assert ours.equal(theirs)
    pictures = torch.rand(4, 8, 16, generator=generator(3))
    images, texts = ordered(pictures, CAPTIONS[:3])
    assert images.shape == (4, 32) and texts.shape == (3, 32)
    assert ordered.logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_fusion_scores_each_picture_with_the_caption_beside_it() -> None:
    fusion = Fusion(TwoTowers(True, generator(1), generator(2)), 32, generator(4))
    pictures = torch.rand(4, 8, 16, generator=generator(3))
    logits = fusion(pictures, CAPTIONS[:4])
    assert logits.shape == (4,)
    for i in range(4):
        torch.testing.assert_close(fusion(pictures[i, None], CAPTIONS[i, None])[0], logits[i])
    assert (fusion(pictures, CAPTIONS[1:5]) != logits).all()


# --- bad input -----------------------------------------------------------------------------------------


def test_embeddings_that_do_not_fit_are_refused() -> None:
    scale = torch.tensor(1.0)
    for images, texts, says in (
        (torch.ones(3), torch.ones(3), "images"),
        (torch.ones(3, 2), torch.ones(0, 2), "texts"),
        (torch.ones(3, 2), torch.ones(3, 4), "one width"),
    ):
        for function in (cosines, zero_shot):
            with pytest.raises(ValueError, match=says):
                function(images, texts)
    with pytest.raises(TypeError, match="texts"):
        cosines(torch.ones(3, 2), torch.ones(3, 2).long())
    with pytest.raises(TypeError, match="dtype"):
        cosines(torch.ones(3, 2), torch.ones(3, 2).double())
    with pytest.raises(ValueError, match="as many"):
        clip_loss(torch.ones(3, 2), torch.ones(4, 2), scale)


@pytest.mark.parametrize(
    "scale", [torch.ones(1), torch.tensor(math.nan), torch.tensor(-math.inf), torch.tensor(90.0)]
)
def test_the_scale_must_be_one_finite_number(scale: Tensor) -> None:
    with pytest.raises(ValueError, match="logit_scale"):
        clip_loss(torch.ones(2, 2), torch.ones(2, 2), scale)


def test_captions_that_do_not_fit_are_refused() -> None:
    for captions in (torch.ones(2), torch.ones(2, dtype=torch.bool)):
        with pytest.raises(TypeError, match="captions"):
            clip_loss(torch.ones(2, 2), torch.ones(2, 2), torch.tensor(1.0), captions)
    with pytest.raises(ValueError, match="captions"):
        clip_loss(torch.ones(2, 2), torch.ones(2, 2), torch.tensor(1.0), torch.tensor([1]))


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    for scores in (torch.ones(2, 3), torch.ones(2), torch.ones(0, 0), torch.full((2, 2), math.nan)):
        with pytest.raises(ValueError, match="scores"):
            recall_at_k(scores, 1)
    with pytest.raises(ValueError, match="k must"):
        recall_at_k(torch.ones(2, 2), 0)


def test_digits_that_are_missing_are_refused() -> None:
    images, labels, pairs = torch.ones(10, 8, 8), torch.arange(10), torch.zeros(2, 2).long()
    for i, y, p, says in (
        (images[:9], labels[:9], pairs, "labels"),
        (images, labels[:9], pairs, "labels"),
        (images[0], labels, pairs, "images"),
        (images, labels, pairs[:, :1], "pairs"),
        (images, labels, pairs - 1, "digits"),
    ):
        with pytest.raises(ValueError, match=says):
            draw_pictures(i, y, p, generator())
