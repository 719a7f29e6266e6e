# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs:
#     - transformer_block
#     question_zh: 语言模型中的权重初始化是什么？
#     short: Weight initialization
#     source: L28
#     tasks:
#     - he_normal
# ---

# %% [markdown]
# # Derive Xavier and He initialization. Why does GPT-2 also divide by √(2L)?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# On average, a layer multiplies the signal's mean square by fan-in times the weights' variance, and ReLU halves it. Depth raises that
# factor to a power, so it should be one: variance one over fan-in without ReLU, two over fan-in with it. Xavier uses the mean of
# fan-in and fan-out, for the gradients' sake. A pre-norm residual stream adds instead, two branches per block. Drawn independently, they
# start uncorrelated, so variances add, and one over root two L per branch keeps their sum independent of depth.
#
# :::{dropdown} The two-minute answer
# Fan-in $n$ is the number of products that one output adds up, fan-out $m$ the number of outputs that one input reaches. With
# independent weights of mean 0 and variance $\sigma^2$, an output's mean square is $n\sigma^2$ times that of the inputs, and a
# gradient is multiplied by $m\sigma^2$ on its way back. ReLU keeps half of either. He: $\sigma^2 = 2/n$. Xavier, derived for units
# that are linear around 0: $\sigma^2 = 2/(n+m)$.
#
# That holds for the mean over draws of the weights. A single network strays from it: the log of its mean square has a
# variance that grows like depth over width. Nor is size everything: in a deep ReLU network, inputs end up almost parallel.
#
# In a pre-norm Transformer a branch reads a normalized stream, so its output does not depend on the stream's size. There are $2L$
# branches. Uncorrelated ones add like a random walk, $\sqrt{2L}$ times as long as one; $1/\sqrt{2L}$ undoes
# that. If all pointed the same way, their sum would be $2L$ times as long. Training moves them towards that.
#
# Weights must also differ: hidden units that start equal stay equal.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: equal weights stay equal, so the start must be random; zero biases are fine.
# - Junior: variance $1/n$ without, $2/n$ with ReLU, $n$ being fan-in; He answers to ReLU, not to depth.
# - Mid: derives $n\sigma^2$ forward, $m\sigma^2$ backward and the half, and says what is assumed.
# - Mid: reads fan-in off a shape in torch's and in Keras's layout.
# - Mid: derives $1/\sqrt{2L}$: the stream adds $2L$ branches, uncorrelated because drawn independently, so variances add.
# - Senior: He keeps the mean over draws; a single network strays, by depth over width, and inputs become parallel.
# - Senior: orthogonal matrices keep every direction through a deep product, Gaussian ones lose most; with ReLU both do.
# - Senior: training aligns the branches, so $1/\sqrt{2L}$ is a law of the start.

# %% tags=["hide-input"]
from functools import partial

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.init import fans, gain_for, gpt2_init, he_, orthogonal_, xavier_
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## One neuron adds 256 products, and ReLU drops half of what they make
#
# A neuron computes $y = \sum_j w_j x_j$ over $n = 256$ inputs. Draw the weights independently, with mean 0 and variance
# $\sigma^2$. In the mean of $y^2$ all mixed products cancel, and what is left is
#
# $$
# \mathbb E\,y^2 = \sigma^2 \sum_j x_j^2 = n\sigma^2 \cdot \tfrac1n \textstyle\sum_j x_j^2 .
# $$
#
# The mean square of the inputs is multiplied by $n\sigma^2$. Nothing was assumed about the inputs, only that they do not depend on
# these weights. With a symmetric distribution of weights, $y$ is symmetric around 0, and ReLU keeps exactly half of its mean square; a
# leaky ReLU with slope $a$ keeps $(1 + a^2)/2$. With $\sigma^2 = 1/n$, a layer's factor is $\frac12$, and forty layers leave
# $2^{-40}$, a trillionth. With $\sigma^2 = 2/n$ {cite:p}`he2015delving` the factor is 1.
#
# Backward, an input collects gradients from the $m$ outputs it reaches, so the factor is $m\sigma^2$, and again half of it with
# ReLU. This takes one more assumption, that gradients do not depend on the weights they pass. Xavier
# {cite:p}`glorot2010understanding` is the compromise $\sigma^2 = 2/(n+m)$, for units like tanh that are linear around 0.

# %%
show(fans, he_, xavier_, gain_for)

# %% [markdown]
# A uniform distribution within $\pm b$ has variance $b^2/3$, hence Xavier's $\sqrt 6$. Same seed, same numbers as PyTorch's:

# %%
ours, theirs = torch.empty(2, 96, 40, 3)
agrees("he", "torch.nn.init.kaiming_normal_", he_(ours, generator(1), slope=0.2),
       nn.init.kaiming_normal_(theirs, a=0.2, generator=generator(1)), atol=1e-6)  # fmt: skip
agrees("xavier", "torch.nn.init.xavier_uniform_", xavier_(ours, generator(1)),
       nn.init.xavier_uniform_(theirs, generator=generator(1)), atol=1e-6)  # fmt: skip
agrees("orthogonal", "torch.nn.init.orthogonal_", orthogonal_(ours, generator(1)),
       nn.init.orthogonal_(theirs, generator=generator(1)), atol=1e-5)  # fmt: skip

# %% [markdown]
# ## The wrong fan hides in an MLP that widens and narrows
#
# The notes behind this question draw a tensor with Keras's `he_normal()(shape=(input_dim, output_dim))` and stop there. Keras stores
# (in, out) and torch (out, in), so the same shape has two fan-ins; here the kernel is transposed into a torch layer. (Keras also cuts its normal off at two
# deviations and widens what is left: same variance, other tails.) Then a whole MLP, 256 → 1024 → 256, with each fan:

# %%
kernel = he_(torch.empty(256, 1024), generator(2), layout="keras")  # (in, out)
layer = nn.Linear(256, 1024)
layer.weight.data, layer.bias.data = kernel.T, torch.zeros(1024)
x = torch.randn(512, 256, generator=generator(3))
print(f"one layer, mean square: {layer(x).relu().square().mean():.2f}")

for mode in ("in", "out"):
    g = generator(4)
    widen, narrow = (he_(torch.empty(s), g, mode=mode) for s in ((1024, 256), (256, 1024)))
    hidden = (x @ widen.T).relu()  # (512, 1024)
    output = (hidden @ narrow.T).relu().square().mean()
    print(f"fan-{mode:3}  hidden: {hidden.square().mean():.2f}   output: {output:.2f}")

# %% [markdown]
# With fan-out the hidden mean square is four times too small, and the way back multiplies by four. Along any chain of
# layers such factors cancel, but for the two ends. So {cite:t}`he2015delving` call either fan sufficient, and a test of the output's
# size will not find fans that were exchanged in porting.
#
# ## He keeps the mean size; a single network strays, and directions are lost
#
# Forty layers of width 256, 64 random inputs. *Gradient* is the mean square that arrives at the input when one of mean square 1 is sent back,
# *cosine* the mean over pairs of inputs, which is about 0 at the start.

# %%
depth, width = 40, 256
plain = {"ReLU, 4/n": (F.relu, 4.0), "ReLU, 2/n": (F.relu, 2.0),
         "tanh, gain²/n": (torch.tanh, gain_for(torch.tanh) ** 2),
         "tanh, 1/n": (torch.tanh, 1.0), "ReLU, 1/n": (F.relu, 1.0)}  # fmt: skip
sizes, cosine = {}, {}
print(" " * 14, "mean square   gradient   cosine")
for name, (activation, factor) in plain.items():
    g, sizes[name] = generator(5), []
    x = torch.randn(64, width, generator=g).requires_grad_()
    h = x  # (N, D)
    for _ in range(depth):
        weight = factor**0.5 * he_(torch.empty(width, width), g, slope=1.0)  # factor/n
        h = activation(h @ weight.T)
        sizes[name].append(h.square().mean().item())
    (back,) = torch.autograd.grad(h, x, torch.randn(h.shape, generator=g))
    unit = F.normalize(h.detach())
    cosine[name] = ((unit @ unit.T).sum() - 64) / (64 * 63)
    print(f"{name:16}{sizes[name][-1]:9.1e}{back.square().mean():11.1e}{cosine[name]:9.2f}")

shrink = (sizes["ReLU, 1/n"][-1] / sizes["ReLU, 1/n"][0]) ** (1 / (depth - 1))
claim("relu_halves", "40 ReLU layers, variance 1/n: factor of the mean square per layer",
      shrink, at_least=0.46, at_most=0.54)  # fmt: skip
claim("directions_collapse", "40 ReLU layers, He: mean cosine between random inputs",
      cosine["ReLU, 2/n"], at_least=0.85)  # fmt: skip

# %% [markdown]
# The outer rows are powers of two. He's row stays within about one power of ten, forward and backward. Yet its 64 inputs leave
# in almost the same direction, and so they do in all three ReLU rows. A random matrix about keeps the angle between two vectors, and ReLU, whose outputs are never
# negative, narrows it, whatever the weights' scale. tanh, an odd function, leaves unrelated inputs unrelated.
#
# tanh follows no power law. With $1/n$ it fades slowly, because small signals pass nearly unbent. With the square of
# `gain_for(torch.tanh)` over $n$, the size holds, but the gradient grows: tanh's values and its slopes call for different
# factors. For two straight lines that meet at 0, such as ReLU, one factor serves both.
#
# He's factor is 1 on average over draws. In one draw, a layer of width $n$ multiplies the mean square by a random factor of variance $5/n$
# (a squared ReLU of a standard normal has mean $\frac12$ and variance $\frac54$). Over depth the factors multiply, so their
# logarithms add up to a variance of about $5 \times$ depth / width {cite:p}`hanin2018start`. The expectation stays 1, carried by a few large
# networks, while the *median* falls. So a mean over 200 draws still scatters.

# %%
ends = torch.empty(200)
for draw in range(200):
    g = generator(100 + draw)
    h = torch.ones(64)  # mean square 1
    for _ in range(32):
        h = (he_(torch.empty(64, 64), g) @ h).relu()
    ends[draw] = h.square().mean()
print(f"200 networks: mean {ends.mean():.2f}, median {ends.median():.2f}")
claim("strays_with_depth", "32 He layers of width 64, 200 draws: variance of the log mean square over "
      "5 × depth / width", ends.log().var() / (5 * 32 / 64), at_least=0.65, at_most=1.6)  # fmt: skip

# %% [markdown]
# ## A residual stream adds 2L branches, so √(2L)
#
# A pre-norm block [reads through a norm and adds](../architectures/transformer_block): $x \leftarrow x + f(\mathrm{LN}(x))$, twice per block.
# LN (layer norm) removes the stream's size, so no factor is handed on. After $L$ blocks the stream is $x_0 + \sum_{k=1}^{2L} f_k$. Each *branch* $f_k$ ends in
# a matrix drawn independently of everything before it. So mixed products cancel on average again, and $2L$ branches of mean square $c$ add up to $2Lc$, as in a random walk. The GPT-2
# report scales the matrices that write to the stream by $1/\sqrt N$ for $N$ residual layers {cite:p}`radford2019language`. Read $N$ as $2L$, as `transformers` does, and $2L$ cancels.

# %%
show(gpt2_init)

# %% [markdown]
# The library's `GPT` calls it when it is built. Now models with and without the scale, and two controls for the cause. In *copies*, all blocks are
# copies of the first, so that their branches are correlated. In *signs*, they are copies as well, but each row of each matrix that writes gets
# a random sign: same sizes, no correlation. All other matrices have variance $1/D$. *Apart* adds up the branches' own mean squares,
# *together* is the mean square of their sum.

# %%
# Try: (2 * L) ** -0.4 in place of the first None. The sum then grows like the fifth root
# of L, and the thesis breaks; with 1 / (2 * L) it falls like 1 / L. D = 32 changes little.
D, depths = 64, (4, 16, 64)
laws = {"unscaled": lambda L: 1.0, "1/√(2L)": lambda L: None,
        "1/√(2L), copies": lambda L: None, "1/√(2L), signs": lambda L: None}  # fmt: skip


def build(L: int, V: int, scale: float | None, g: torch.Generator) -> GPT:
    return GPT(GPTConfig(vocab_size=V, context_length=32, width=D, num_layers=L, num_heads=4,
                         embedding_norm=True, tied_head=False, init_std=D**-0.5,
                         residual_scale=scale), g)  # fmt: skip


def copy_first(blocks: nn.ModuleList, new_signs: bool, g: torch.Generator) -> None:
    for block in blocks[1:]:
        block.load_state_dict(blocks[0].state_dict())
        if new_signs:
            for layer in (block.attention, block.mlp):
                layer.output.weight.data *= 2 * torch.randint(2, (D, 1), generator=g) - 1


@torch.no_grad()
def apart_together(model: GPT, ids: Tensor) -> tuple[float, float]:
    added, hooks = [], []  # added: what each of the 2L sublayers adds to the stream, (B, T, D)
    for block in model.blocks:
        for layer in (block.attention, block.mlp):
            hooks.append(layer.register_forward_hook(lambda *call: added.append(call[2])))
    model.hidden(ids, causal=True)
    for hook in hooks:
        hook.remove()
    return sum(f.square().mean() for f in added).item(), sum(added).square().mean().item()


total = {name: [] for name in laws}
for name, law in laws.items():
    for L in depths:
        g = generator(6)
        model = build(L, 256, law(L), g)
        if "copies" in name or "signs" in name:
            copy_first(model.blocks, "signs" in name, g)
        apart, together = apart_together(model, torch.randint(256, (4, 32), generator=g))
        total[name].append(together)
        print(f"{name:16}{L:3} blocks   apart {apart:8.3g}   together {together:8.3g}")

# %% mystnb={"image": {"alt": "Two charts, one above the other, with logarithmic vertical axes. Above: mean square after each of 40 plain layers. ReLU with variance 4/n rises in a straight line by twelve powers of ten, with 1/n falls by as many; ReLU with 2/n and both tanh networks stay within a few powers of ten of one. Below: mean square of all branches of a GPT against 4, 16 and 64 blocks. Unscaled it rises in proportion to depth, with one over the root of 2L it is level at about one, with the same scale and copied blocks it rises again, with copied blocks and random signs it is level again."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6.6))
for name, values in sizes.items():
    top.plot(range(1, depth + 1), values, label=name)
for name, values in total.items():
    bottom.plot(depths, values, "o-", label=name)
top.set(title="A plain network multiplies: a factor of 2 becomes 2⁴⁰", yscale="log",
        xlabel="layer", ylabel="mean square", xlim=(0, 55), xticks=range(0, 41, 10))  # fmt: skip
bottom.set(title="A residual stream adds: 1/√(2L) levels uncorrelated branches", xscale="log",
           yscale="log", xlim=(3.5, 900), xticks=depths, xticklabels=depths,
           xlabel="blocks L", ylabel="mean square of the sum")  # fmt: skip
for ax in (top, bottom):
    ax.minorticks_off()
    label_lines(ax)
plt.show()

# %%
growth = {name: values[-1] / values[0] for name, values in total.items()}
claim("root_law", "GPT, 64 blocks over 4: mean square of what all branches add, scaled by 1/√(2L)",
      growth["1/√(2L)"], at_least=0.7, at_most=1.4, thesis=True)  # fmt: skip
claim("unscaled_grows", "GPT, 64 blocks over 4: mean square of what unscaled branches add",
      growth["unscaled"], at_least=8, unit="×")  # fmt: skip
claim("copies_add_up", "GPT of one block copied, 64 over 4: mean square of what all branches add, "
      "scaled by 1/√(2L)", growth["1/√(2L), copies"], at_least=8, unit="×")  # fmt: skip
claim("signs_level", "GPT of copies with random signs, 64 over 4: mean square of what all add",
      growth["1/√(2L), signs"], at_least=0.6, at_most=1.7)  # fmt: skip

# %% [markdown]
# With the root, 64 blocks add about as much as 4. ($1/\sqrt L$ would be level, too, at twice the mean square: the 2 counts a block's branches.) Unscaled, the sum grows
# about in proportion to depth, or a little faster, because branches deep in an unscaled stream are somewhat larger.
# The controls show the cause. In both, branches are about as large, apart, as those of separate blocks. The copies point partly alike, and their sum grows again; random signs undo
# just that.
#
# In the upper panel a wrong factor is raised to the power of the depth, in the lower one it only scales a sum. So other matrices may
# miss their formula: the first GPT took standard deviation 0.02, which with layer norm throughout "was sufficient"
# {cite:p}`radford2018improving`. GPT-2's code has 0.02 at all widths $D$, 768 to 1,600, where $1/\sqrt D$ is 0.036 to 0.025.
#
# ## Twenty updates later, the branches pull together
#
# Nothing keeps branches uncorrelated in training. Call *together* over *apart* their alignment: about 1 if they are uncorrelated,
# $2L = 16$ if all 16 are equal. One model learns each of 32 tokens' successor from a random table. The other gets random labels, with no successor to learn.


# %%
def loss(model: GPT, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


V, L, updates, rise = 32, 8, 20, {}
for task in ("table", "random labels"):
    g = generator(7)
    model, table = build(L, V, None, g), torch.randperm(V, generator=g)
    ids, unseen = (torch.randint(V, (n, 16), generator=g) for n in (updates * 8, 16))  # (B, T)
    labels = table[ids] if task == "table" else torch.randint(V, ids.shape, generator=g)
    was = apart_together(model, unseen)
    fit(model, list(zip(ids.split(8), labels.split(8), strict=True)), loss,
        optimizer=Adam(model.parameters(), 1e-3), num_steps=updates)  # fmt: skip
    now = apart_together(model, unseen)
    rise[task] = now[1] / now[0] / (was[1] / was[0])
    print(f"{task}: apart {was[0]:.2f} → {now[0]:.2f}, together {was[1]:.2f} → {now[1]:.2f}")
claim("training_aligns", "GPT of 8 blocks: alignment of its branches after 20 updates over before",
      rise["table"], at_least=1.6, unit="×")  # fmt: skip
claim("labels_do_not_matter", "GPT of 8 blocks, random labels: alignment after 20 updates over before",
      rise["random labels"], at_least=4, unit="×")  # fmt: skip

# %% [markdown]
# Trained branches point partly alike. Learning the table is not the cause: random labels align them
# even more. All branches add to one stream, so each update pushes them along much the same gradient; how far depends on the rate and number of updates.
# So $1/\sqrt{2L}$ is a law of the start. How learning rates should then depend on depth is a question of its own {cite:p}`yang2024tensor`.
#
# ## Gaussian products crush most directions, orthogonal ones none
#
# A Gaussian matrix keeps the mean square on average, by stretching some directions and shortening others. In a product of forty the differences multiply. A
# square *orthogonal* matrix keeps every length; so does any product of them {cite:p}`saxe2014exact`. It is drawn by factoring a Gaussian
# matrix into $QR$. Singular values tell by how much each direction is stretched.

# %%
stretch = {}
for name, fill in {"Gaussian": partial(he_, slope=1.0), "orthogonal": orthogonal_}.items():
    g, product = generator(8), torch.eye(64, dtype=torch.float64)
    for _ in range(40):
        product = fill(torch.empty_like(product), g) @ product
    stretch[name] = torch.linalg.svdvals(product)  # (64,), largest first
    print(f"{name:12}median {stretch[name].median():7.1e}   largest {stretch[name][0]:.1f}")
claim("gaussian_crushes", "product of 40 Gaussian 64 × 64 matrices: median singular value over the "
      "largest", stretch["Gaussian"].median() / stretch["Gaussian"][0], at_most=1e-3)  # fmt: skip
claim("orthogonal_keeps", "product of 40 orthogonal matrices: largest difference of a singular value "
      "from 1", (stretch["orthogonal"] - 1).abs().max(), at_most=1e-10)  # fmt: skip

# %% [markdown]
# The Gaussian product all but loses the median direction, and most others. With ReLUs in between, orthogonal matrices lose directions, too, because each ReLU sets some
# coordinates to 0; {cite:t}`pennington2017resurrecting` show that no scale of the weights repairs that.
# Orthogonal matrices are a common choice for recurrent networks, which multiply by one matrix at each step; the other remedy there are [gates](../foundations/sequence_models_gates).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"He initialization suits deep networks."** So say the notes, of `he_normal`. It suits ReLU; depth only makes a wrong factor visible.
# In linear layers $2/n$ doubles the mean square, in each of them, be there two or two hundred.
#
# **Equal weights, "to start neutral".** Hidden units whose weights are equal, in and out, compute the same and get the same gradient, so they
# stay one unit. From zeros, with tanh or ReLU, not even that one learns, since each layer's gradient contains the other layer's weights. Biases may
# be zero: the weights already differ.
#
# **"PyTorch initializes `nn.Linear` with Kaiming, so ReLU is covered."** The code does call `kaiming_uniform_`, with `a=math.sqrt(5)`. Put it into
# $2/((1+a^2)n)$: the variance is $1/(3n)$, and a ReLU layer keeps a sixth of the mean square, but for the bias. Call
# `kaiming_normal_(weight, nonlinearity="relu")` yourself.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Does layer norm make initialization irrelevant?
# It makes the forward pass indifferent to the scale of a matrix whose output is normalized at once. The gradient of such a matrix then
# shrinks as its weights grow, and the size of a branch beside the stream still counts.
# :::
#
# :::{dropdown} What loss should a fresh language model show?
# About $\ln V$, plus half the variance of its logits. With a head of deviation 0.02 on a normalized stream of width 768 that variance is $768 \cdot 0.02^2 = 0.31$,
# so for $V = 50{,}257$ expect about 10.98, not 10.82.
# :::
#
# :::{dropdown} When is zero the right start?
# When something else breaks the symmetry and a zero output is wanted. LoRA's $B$ is zero and its $A$ random {cite:p}`hu2022lora`; ReZero multiplies each
# branch by a scalar that starts at 0 {cite:p}`bachlechner2021rezero`; Fixup sets each branch's last layer to 0 {cite:p}`zhang2019fixup`.
# :::
#
# :::{dropdown} What does µP change?
# The maximal update parametrization asks that each *update*, too, moves the activations equally far at any width. Hidden matrices keep variance $1/n$, the output layer starts
# smaller, and Adam's rate for hidden matrices falls like one over the width {cite:p}`yang2022tensor`. A rate tuned on a narrow model then serves the wide one.
# :::
#
# :::{dropdown} Which gain for GELU or SwiGLU?
# `gain_for(F.gelu)` is about 1.53, near ReLU's 1.41. GPT-2 uses no gain: a norm precedes each MLP, so a wrong factor is not handed on. In SwiGLU two
# projections are multiplied, so raising both variances raises the mean square by about the product of both.
# :::
#
# :::{dropdown} What is a convolution's fan-in?
# Input channels times kernel size. For torch's (64, 32, 3, 3) it is 288. With groups, torch's shape holds the channels per group, so the same
# product is right.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} he_normal
# ```

# %%
import numpy as np


def he_normal(shape, layout, nonlinearity, a, rng: np.random.Generator) -> np.ndarray:
    """Weights whose outputs keep the mean square of their inputs.

    shape: (out, in, *kernel) for layout "torch", (*kernel, in, out) for "keras".
    nonlinearity: "linear", "relu" or "leaky_relu", whose negative side has slope a.
    """
    raise NotImplementedError


check("he_normal", he_normal)

# %% [markdown]
# ```{solution} he_normal
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`glorot2010understanding`: Xavier. {cite:t}`he2015delving`: He, and why either fan suffices.
# - {cite:t}`hanin2018start`: spread over depth and width. {cite:t}`saxe2014exact`, {cite:t}`pennington2017resurrecting`: orthogonal starts. {cite:t}`mezzadri2007generate`: drawing them.
# - {cite:t}`radford2018improving`, {cite:t}`radford2019language`: 0.02, and residual scaling. {cite:t}`yang2024tensor`: depth and learning rates.
