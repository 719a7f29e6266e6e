# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs: []
#     question_zh: 如何进行语言模型的量化？
#     short: Quantization
#     source: S23
#     tasks:
#     - quantize_affine
# ---

# %% [markdown]
# # Symmetric or affine, per-tensor or per-channel, PTQ or QAT?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# The error follows the step: the range a scale must cover over the number of codes. So two choices matter first, range and
# granularity. At four bits, one scale stretched to the widest weight can ruin a model; clip the range, give each row
# or small group its own scale, or both, and it keeps most of its behavior. Symmetric suits weights, affine one-sided
# activations. Begin after training; if very few bits still cost too much, train with simulated rounding and
# straight-through gradients.
#
# :::{dropdown} The two-minute answer
# A grid has a scale $s$ and an integer zero point $z$: $q = \mathrm{clamp}(\mathrm{round}(x/s) + z)$, and back,
# $\hat x = s\,(q - z)$. Symmetric means $z = 0$ and, unless clipped, a range of $\pm\max|x|$; affine covers $[\min x, \max x]$,
# extended to include zero. That choice is independent of granularity (one grid for a tensor, a row, a group, a token), of what is
# quantized (weights only, or activations too), and of when (after training, or during).
#
# Within the range the error is at most $s/2$ and its variance about $s^2/12$, so each bit is worth six decibels. A
# weight matrix of shape $(O, I)$ can have a scale for each of its $O$ rows, its output channels: a row makes one
# output, so its scale is a common factor of that sum. Activations $(N, I)$ can have one for each of the $N$ tokens.
# Within one integer sum no scale can change along its $I$ terms. Groups along $I$ are sums of their own: each is scaled
# before it is added to the others, or the kernel turns weights back into floats first. In large language models
# activation outliers sit in columns, which is why they are moved into the weights (SmoothQuant) or kept in 16 bits
# (LLM.int8).
#
# Weight ranges are known; ranges of activations come from calibration data, or are taken for each token as it comes. At 8 bits rounding to nearest is mostly enough; at 4 bits clip, use groups, and GPTQ or AWQ if needed; below that, quantization-aware
# training often pays.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: scale and zero point; symmetric means zero point 0, and says nothing about what shares a scale.
# - Junior: zero must be exact, and the zero point therefore whole.
# - Mid: error variance $s^2/12$, six decibels a bit, and that, unless clipped, the widest value sets $s$ for its group.
# - Mid: which axes may have scales of their own within an integer sum, and why.
# - Mid: why QAT needs a straight-through gradient, and that the weights it trains stay in floating point.
# - Senior: where LLM outliers sit, and the rescaling that moves them.
# - Senior: when fewer bits mean less time, and when they mean only fewer bytes.

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.compression import quantize as quant
from lmprep.data.corpora import digits, english_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.practice import check
from lmprep.pretraining.minilm import minilm
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

_ = setup()  # the page stays on the CPU, where torch multiplies integers

# %% [markdown]
# ## Eight weights on fifteen values, then on sixteen
#
# Take eight weights of one row and four bits. Symmetric: the widest is 1.40, the codes run from −7 to 7, so the step is
# 1.40 / 7 = 0.20. Affine: codes from 0 to 15 for the range from −0.40 to 1.40, so the step is 1.80 / 15 = 0.12, and zero ought
# to sit at code 0.40 / 0.12 = 3.33.
#
# | weight | −0.40 | −0.13 | **0** | 0.05 | 0.31 | 0.57 | 0.92 | 1.40 |
# |---|---|---|---|---|---|---|---|---|
# | symmetric code | −2 | −1 | **0** | 0 | 2 | 3 | 5 | 7 |
# | … × 0.20 | −0.40 | −0.20 | **0** | 0 | 0.40 | 0.60 | 1.00 | 1.40 |
# | affine code, zero at 3.33 | 0 | 2 | **3** | 4 | 6 | 8 | 11 | 15 |
# | … (code − 3.33) × 0.12 | −0.40 | −0.16 | **−0.04** | 0.08 | 0.32 | 0.56 | 0.92 | 1.40 |
# | affine code, zero at 3 | 0 | 2 | **3** | 3 | 6 | 8 | 11 | 15 |
# | … (code − 3) × 0.12 | −0.36 | −0.12 | **0** | 0 | 0.36 | 0.60 | 0.96 | 1.44 |
#
# Symmetric leaves the five codes below −2 unused; affine gets a smaller step for it. With the zero point left at 3.33, zero
# comes back as −0.04: every padded position, every ReLU that is off and every pruned weight would add the same small
# error, and they add up. Rounded to 3, zero is exact and the grid slides by a third of a step. No value in the range is off by
# more than half a step.

# %%
show(quant.qparams, quant.quantize)

# %%
row = torch.tensor([-0.40, -0.13, 0.00, 0.05, 0.31, 0.57, 0.92, 1.40])
grids = [quant.qparams(row, 4, symmetric=choice) for choice in (True, False)]
ours = torch.stack([quant.fake_quantize(row, grid) for grid in grids])
by_hand = ((0.20, 0, -7, 7), (0.12, 3, 0, 15))  # scale, zero point, lowest and highest code
theirs = torch.stack([torch.fake_quantize_per_tensor_affine(row, *grid) for grid in by_hand])
agrees("eight_weights", "torch.fake_quantize_per_tensor_affine", ours, theirs, atol=1e-6)

# %% [markdown]
# ## Six decibels a bit, less what the widest weight takes
#
# If values spread over many steps, rounding errors are spread evenly over $\pm s/2$, with variance $s^2/12$. For $b$ bits,
# symmetric, the signal-to-quantization-noise ratio is then
#
# $$
# \mathrm{SQNR} = 10 \log_{10} \frac{\overline{x^2}}{s^2/12} \;\text{dB},
# $$
#
# $$
# s = \frac{\max |x|}{2^{b-1} - 1} .
# $$
#
# One more bit about halves $s$: $20 \log_{10} 2 = 6.02$ dB, and more between very few bits, where $2^{b-1} - 1$ more than
# doubles. The largest value over the root mean square shifts the line: make the widest weight ten times as large, and all that
# share its scale lose 20 dB, over three bits. How many share it is called granularity.
#
# ## Only a shared scale sees that rows differ
#
# Rows of trained weights differ in range. To change that alone, the outlier rows here are **constructed**. A classifier of digits is trained; then, in a copy,
# each hidden unit's row of weights and its bias are multiplied by a random power of two, and its output is divided by
# it. ReLU lets positive factors through, and powers of two do not round: both networks compute the same function, bit by
# bit. Folding normalization into weights does such things to real networks: MobileNetV2, with one scale a tensor, falls to chance at 8
# bits for it {cite:p}`nagel2019data`.

# %%
# Try: spread = 1.0. Rows differ less, one scale does less harm, and the thesis fails. At 0.0
# it must: both copies are the same. With bits = 8 too little breaks.
spread, bits, steps = 2.0, 4, 200  # spread: standard deviation of the exponents of two

data = digits().with_format("torch")
images, labels = (
    data["train"][:]["image"].flatten(1),
    data["train"][:]["label"],
)  # (N, 64), (N,)
test_images, test_labels = data["test"][:]["image"].flatten(1), data["test"][:]["label"]


class Classifier(nn.ModuleList):
    """Pixels (N, 64) to digits (N, 10); what a layer puts out is divided by its gains."""

    gains = (torch.ones(128), torch.ones(128), torch.ones(10))

    def forward(self, x: Tensor, bits: int | None = None, share: str = "row") -> Tensor:
        for layer, gain in zip(self, self.gains, strict=True):
            weight = layer.weight if bits is None else quant.simulate(layer.weight, bits, share)
            x = F.linear(x.relu(), weight, layer.bias) / gain  # no pixel is negative
        return x


def train(model: Classifier, draw: int, rate: float, bits: int | None = None) -> Classifier:
    rows = torch.randint(len(images), (steps, 64), generator=generator(draw))
    fit(model, lambda step: rows[step], lambda m, i: F.cross_entropy(m(images[i], bits), labels[i]),
        optimizer=Adam(model.parameters(), lr=rate), num_steps=steps)  # fmt: skip
    return model


def accuracy(model: Classifier, *options) -> float:
    return (model(test_images, *options).argmax(dim=1) == test_labels).double().mean().item()


plain = Classifier([nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 10)])
train(plain, draw=1, rate=3e-3)
outliers, g = copy.deepcopy(plain), generator(2)
outliers.gains = [2 ** (spread * torch.randn(128, generator=g)).round() for _ in range(2)] + [1]
for layer, gain in zip(outliers[:2], outliers.gains[:2], strict=True):
    layer.weight.data *= gain[:, None]
    layer.bias.data *= gain

# %%
bits_tried = range(2, 9)
arms = {f"{rows}, {scales}": (model, share)
        for share, scales in (("row", "a scale each"), ("tensor", "one scale"))
        for rows, model in (("trained rows", plain), ("outlier rows", outliers))}  # fmt: skip
correct, decibels = {}, {}
for name, (model, share) in arms.items():
    w = model[1].weight
    decibels[name] = [quant.sqnr(w, quant.simulate(w, n, share)) for n in bits_tried]
    correct[name] = [accuracy(model, n, share) for n in bits_tried]
uniform = 2 * torch.rand(1, 100_000, generator=generator(3)) - 1
spaced = [quant.sqnr(uniform, quant.simulate(uniform, n, "tensor")) for n in bits_tried]

# %% mystnb={"image": {"alt": "Two charts, one above the other, against bits from 2 to 8. Above: signal-to-noise ratio of a weight matrix. Values spread evenly lie on a dashed line of 6.02 decibels a bit, except at very few bits. Trained rows lie some decibels lower, with a scale each or with one, and flatten below 4 bits; outlier rows with a scale each coincide with trained rows; outlier rows with one scale stay far below. Below: accuracy on digits. Three curves lie together, high from 3 bits on; outlier rows with one scale fall from 8 bits downwards to a dotted line at chance."}} tags=["hide-input"]
fig, axes = plt.subplots(2, 1, figsize=(5.2, 7.4))
axes[0].plot((2, 8), (spaced[-1] - 6 * 6.02, spaced[-1]), "k--", label="6.02 dB a bit")
axes[0].plot(bits_tried, spaced, "kx", label="evenly spread values")
axes[1].axhline(0.1, color="k", linestyle=":")
for ax, curves in zip(axes, (decibels, correct), strict=True):
    for rank, (name, curve) in enumerate(curves.items()):
        ax.plot(bits_tried, curve, "o-", linewidth=5 / (rank + 1), label=name)
    ax.set(xlabel="bits a weight", xticks=bits_tried)
axes[0].set(title="The widest weight shifts the line", ylabel="SQNR of the second matrix (dB)")
axes[1].set(
    title="One scale fails when rows differ (dotted: chance)", ylabel="accuracy on digits"
)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %%
trained_each, outlier_each, trained_one, outlier_one = (c[bits - 2] for c in correct.values())
claim("rows_break_one_scale", "digits, few bits, accuracy: outlier rows with a scale each or trained rows "
      "with one scale, whichever is worse, less outlier rows with one scale",
      min(outlier_each, trained_one) - outlier_one, at_least=0.3, thesis=True)  # fmt: skip
apart = [outliers(test_images, n) - plain(test_images, n) for n in (None, *bits_tried)]
claim("same_function", "outlier rows or not: difference of outputs in float32, and in 2 to 8 bits with "
      "a scale for each row", torch.stack(apart).abs().max(), at_most=0)  # fmt: skip
claim("six_decibels", "evenly spread values: SQNR gained a bit, from 6 to 8 bits",
      (spaced[-1] - spaced[-3]) / 2, at_least=5.8, at_most=6.4, unit="dB")  # fmt: skip

# %% [markdown]
# With a scale each, outlier rows change nothing, not even a last digit: the factor goes into the scale, and the integers
# stay as they were. With one scale, the widest row sets the step and most others round to zero.
#
# ## MiniLM in four bits: a few wide weights set everyone's step
#
# Nothing is constructed here: round the 24 matrices in a sentence encoder's layers (queries, keys and values share one) to 4 bits and compare some sentences' vectors with the original ones. The step can shrink in two ways: fewer weights share it, or the widest are cut
# off, at the end that leaves the least squared error.

# %%
encoder = minilm()
stack = encoder.model.blocks
linears = {name: m for name, m in stack.named_modules() if isinstance(m, nn.Linear)}
weights = {name: module.weight.detach() for name, module in linears.items()}  # (O, I) each
text = " ".join(" ".join(english_text()["test"]["text"]).split())
sentences = [part for part in text.split(". ") if 40 < len(part) < 120][:8]
wanted = encoder.encode(sentences)  # (N, D)
reads = quant.linear_inputs(stack, lambda: encoder.encode([text]))  # (T, I) each, for later
arms = {
    "one scale": lambda weight: quant.simulate(weight, 4, "tensor"),
    "one scale, best range": lambda weight: quant.best_ranges(weight, 4, "tensor"),
    "a scale per row": lambda weight: quant.simulate(weight, 4, "row"),
    "a scale per row, best range": lambda weight: quant.best_ranges(weight, 4, "row"),
    "a scale for 32 weights": lambda weight: quant.simulate(weight, 4, 32),
}
cosine = {}
for name, rounded in arms.items():
    for key, module in linears.items():
        module.weight.data = rounded(weights[key])
    cosine[name] = (encoder.encode(sentences) * wanted).sum(dim=1).mean().item()
    print(f"{name:27}{cosine[name]:.2f}")
one, one_best, row, row_best, _ = cosine.values()
claim("clipping_saves", "sentence encoder in 4 bits, one scale a matrix: cosine with the range of least squared "
      "error, less with the widest weight in it", one_best - one, at_least=0.25)  # fmt: skip
claim("rows_save", "sentence encoder in 4 bits: cosine with a scale per row, less with one a matrix, neither clipped",
      row - one, at_least=0.3)  # fmt: skip
claim("range_and_granularity", "sentence encoder in 4 bits: cosine with a scale per row and its best range, less "
      "the better of a scale per row and one scale with its best range",
      row_best - max(row, one_best), at_least=0.015)  # fmt: skip

# %% [markdown]
# Clipping one scale repairs much of the damage: a few wide weights made the step too large for all others. Scales for
# rows repair more. That is no proof that *rows* are what differs here; the constructed copy shows that. Nearest neighbors can still change places.
#
# Groups of 32 come closest, at 16 bits per scale: 16 / 32 is half a bit per weight, 4½ in all. And count bytes on the whole
# model: the embedding table, about half of this one's parameters, has not shrunk.
#
# ## Activations: one-sided after ReLU, and loud where one token meets one column
#
# With $x_i = s_x (q_i - z_x)$ and $w_i = s_w (p_i - z_w)$, a sum over $I$ inputs is
#
# $$
# \begin{aligned}
# \sum_i x_i w_i = s_x s_w \Big( &\sum_i q_i\, p_i - z_x \sum_i p_i \\
# &- z_w \sum_i q_i + I z_x z_w \Big) .
# \end{aligned}
# $$
#
# The sums are of integers, in int32. The second and the last are known beforehand if the range of $x$ is, and go into
# the bias. The third depends on the input, and vanishes if weights are symmetric. So: weights symmetric, activations
# affine. But no scale may depend on $i$: from $s_1 q_1 p_1 + s_2 q_2 p_2$ no common factor can be taken out. With
# groups, each group is such a sum.

# %%
show(quant.int_linear)


# %%
x, sample = test_images, images[:100]  # the sample gives the activations' ranges
for layer in plain:
    grid = quant.qparams(sample.relu(), 8, symmetric=False)
    grids = quant.qparams(layer.weight, 8, axis=0)
    codes = quant.quantize(x.relu(), grid), grid, quant.quantize(layer.weight, grids), grids
    x, sample = quant.int_linear(*codes, layer.bias), layer(sample.relu())
claim("int8_is_enough", "digits: accuracy lost with weights and activations in int8",
      accuracy(plain) - (x.argmax(dim=1) == test_labels).double().mean(), at_most=0.01)  # fmt: skip

# %% [markdown]
# That is static W8A8 post-training quantization: a hundred images give the activations' ranges, and layers multiply
# integers. After ReLU the zero point is 0, so even the second sum goes. It is harder where activations are less tame. Back
# in the encoder, with products in floating point of what the codes stand for:

# %%
decibels = torch.zeros(2, 2)  # one grid, or one a token; each as it is, and with columns moved
for name in (f"{k}.mlp.input" for k in range(6)):
    x, weight = reads[name], weights[name]  # (T, I), (O, I)
    token, column = divmod(x.abs().argmax().item(), x.size(1))
    loudest, second = x[:, column].abs().topk(2).values
    print(f"{name}: token {token}, column {column}: {loudest / second:.0f} × the next there")
    factor = (x.abs().amax(dim=0) / weight.abs().amax(dim=0)).sqrt()  # (I,)
    for j, f in enumerate((1, factor)):
        by_row = quant.simulate(weight * f, 8)
        for i, share in enumerate(("tensor", "row")):
            y = quant.simulate(x / f, 8, share, symmetric=False) @ by_row.T
            decibels[i, j] += quant.sqnr(x @ weight.T, y) / 6
print("mean SQNR (dB):", decibels)
claim("moved_and_each_token", "int8, mean SQNR of six layers: columns' ranges moved into weights and a grid for "
      "each token, less the better of either alone",
      decibels[1, 1] - torch.max(decibels[0, 1], decibels[1, 0]), at_least=1.5, unit="dB")  # fmt: skip

# %% [markdown]
# The loudest value is one token's, `[CLS]`, in one column. A grid for each token, which the sum permits, spares all
# others its step. Within that token the column still costs the rest; a scale of its own is what the sum
# forbids. But $x_i w_i = (x_i / f_i)(f_i w_i)$: dividing columns and multiplying weights is the rescaling from above,
# used for good. With $f_i = \max|x_i|^\alpha / \max|w_i|^{1-\alpha}$, here $\alpha = ½$, it is SmoothQuant
# {cite:p}`xiao2023smoothquant`; the LayerNorm before absorbs the division, in its gain and bias. Both together beat either alone.
#
# ## At two bits, a better range wins back much, training with rounding more
#
# Symmetric 2-bit weights are −1, 0 or 1 times their row's scale. Rounding has derivative 0 almost everywhere, so
# plain backpropagation through it moves no weight. The straight-through estimator {cite:p}`bengio2013estimating` rounds
# forward and passes gradients backward as if it had not. The weights it updates stay in float32, or every update smaller than half
# a step would be lost.

# %%
show(quant.fake_quantize)

# %%
longer = train(copy.deepcopy(plain), draw=4, rate=1e-3)
aware = train(copy.deepcopy(plain), draw=4, rate=1e-3, bits=2)
ranged = copy.deepcopy(longer)
for layer in ranged:
    layer.weight.data = quant.best_ranges(layer.weight.detach(), 2, "row")
widest, fitted, during = accuracy(longer, 2), accuracy(ranged), accuracy(aware, 2)
print(f"float32 {accuracy(longer):.3f}; 2 bits, rounded after training: widest weight in range "
      f"{widest:.3f}, best range {fitted:.3f}; during training {during:.3f}")  # fmt: skip
claim("qat_beats_ptq", "2 bits, as many steps: accuracy if rounded during training, less after it with ranges "
      "of least squared error", during - fitted, at_least=0.01)  # fmt: skip

# %% [markdown]
# Much of the loss comes back for free, by choosing the range: compare QAT with that. The rest took labels and
# gradients; both networks took as many further steps, on the same batches, so it is not more training. That two bits
# come out near float32, or a little above, says that a task as easy as this has weights to spare and that the test set
# is small; what two bits cost elsewhere, only a trial tells. And the straight-through gradient is not that of the
# rounded loss: weights near a boundary can flip back and forth, so lower the rate at the end.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Symmetric quantization uses the same parameters for weights and activations, asymmetric uses separate ones."** *What is
# the zero point of each?* Symmetric has 0, affine a code of its own for zero. Weights and activations never share a scale; either can be
# symmetric or affine, at any granularity.
#
# **"Outliers sit in activation channels, so I give each channel its scale."** *Write the sum.* The channel is its index, so the scale
# stays inside, and `int_linear` refuses. It works in simulation, which is why people find out late.
#
# **"In QAT the weights are int8 while they train."** *What happens to an update of a hundredth of a step?* It would be
# rounded away. Float weights collect such updates, and only the forward pass sees rounded ones.
#
# **"Int8 means four times smaller and four times faster."** *Which kernel, which batch size, and what was not quantized?*
# Rounding in floating point, as on most of this page, saves nothing: speed needs kernels that read the integers. What
# stays in float, here the embeddings, can be half the bytes.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why does quantizing only the weights speed up decoding?
# At batch size 1 each weight is read from memory for two operations, so decoding waits for memory, and 4-bit weights are a
# quarter of 16-bit ones. They are turned back into 16 bits on the chip. With large batches or long prompts
# arithmetic is the limit, that extra work costs time, and it takes integer products of weights *and* activations to gain.
# :::
#
# :::{dropdown} What do GPTQ and AWQ do that rounding to nearest does not?
# They look at the layer's inputs $X$. GPTQ minimizes $\lVert WX - \hat W X \rVert^2$: it rounds column by column, and after
# each one moves the weights not yet rounded to make up for the error, by the inverse of $XX^\top$
# {cite:p}`frantar2023gptq`. AWQ rescales before rounding so that columns with large inputs lose least, and
# clips {cite:p}`lin2024awq`.
# :::
#
# :::{dropdown} Where do outliers sit in large language models?
# In a few columns of the hidden states, the same ones for most tokens; from about 6.7 billion parameters on, in all
# layers. There a scale per token is no longer enough at 8 bits. LLM.int8 multiplies these columns in 16 bits
# and the rest in 8 {cite:p}`dettmers2022llm`.
# :::
#
# :::{dropdown} What is NF4?
# Four bits on an uneven grid: 16 values at quantiles of a normal distribution, 0 among them, with a scale for each block of
# 64 weights {cite:p}`dettmers2023qlora`. A product of codes no longer
# stands for a product of values: NF4 saves memory, not arithmetic.
# :::
#
# :::{dropdown} How would you quantize a KV cache?
# Keys have loud channels, values do not: KIVI gives keys a scale per channel and values a scale per token, at 2 bits
# {cite:p}`liu2024kivi`. A scale a channel is possible because the cache is turned back into floats before the product;
# the latest keys and values stay in 16 bits.
# :::
#
# :::{dropdown} And FP8, MXFP4, NVFP4?
# Codes are small floats: steps grow with the value, so small values keep more of their precision beside a large one. FP8 E4M3 has
# four bits of exponent and three of mantissa. In both 4-bit formats a code is ±0, ½, 1, 1½, 2, 3, 4 or 6; MXFP4 has a power
# of two as scale for each block of 32 {cite:p}`rouhani2023microscaling`, NVFP4 an E4M3 scale for each 16, and a float32 for the tensor
# {cite:p}`nvidia2025nvfp4`. Hardware that knows the format scales each block's partial sum.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} quantize_affine
# ```

# %%
import torch


def quantize_affine(
    x: torch.Tensor, low: float, high: float
) -> tuple[torch.Tensor, float, int]:
    """Codes (uint8, the shape of x), scale and zero point.

    x: any shape, float32 or float64, no NaN; may leave [low, high].
    low, high: low <= high, the range seen in calibration.
    """
    raise NotImplementedError


check("quantize_affine", quantize_affine)

# %% [markdown]
# ```{solution} quantize_affine
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`jacob2018quantization`: scale, integer zero point, integer products, simulated rounding.
# - {cite:t}`bengio2013estimating`: the straight-through estimator.
# - {cite:t}`nagel2019data`: rows of uneven range, and equalizing them.
# - {cite:t}`dettmers2022llm`, {cite:t}`xiao2023smoothquant`: activation outliers.
# - {cite:t}`frantar2023gptq`, {cite:t}`lin2024awq`: 4-bit weights. {cite:t}`dettmers2023qlora`: NF4. {cite:t}`liu2024kivi`: KV caches.
