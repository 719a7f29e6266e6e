# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 3
#     needs: [adam_from_sgd]
#     question_zh: 语言模型中的分布式训练是什么？
#     short: Data parallelism and ZeRO
#     source: L18
#     tasks:
#     - ring_all_reduce
# ---

# %% [markdown]
# # Data parallelism and ZeRO: what is copied, what is sharded, what is sent?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Data parallelism keeps a full model on every device and deals out the batch. After the backward pass an
# all-reduce averages the gradients, so at equal token counts all copies take the step of one device with the whole batch.
# In a ring, each device sends less than twice the gradient's size, however many there are. Weights, gradients and optimizer states take as
# much memory as before. ZeRO shards them; with one backward pass per update, sharding optimizer states and gradients costs no extra traffic.
#
# :::{dropdown} The two-minute answer
# With Adam in mixed precision, every parameter takes 16 bytes: 2 for the weight, 2 for its gradient, and 12 for a float32 copy
# of the weight and Adam's two averages. Data parallelism pays all 16 on each device; only the activations shrink, if the
# batch is divided. Up to rounding it equals one device with the whole batch, if each device has the same number of tokens. Otherwise the
# mean of the devices' means is not the mean over tokens, and each must be weighted by its count.
#
# A ring all-reduce is two passes. Reduce-scatter leaves each of $n$ devices with one $n$-th of the summed gradient; all-gather passes these
# parts around. Each pass sends $(n-1)/n$ of the buffer per device. ZeRO stage 1 updates in between: each device holds
# optimizer states for its own $n$-th, updates it, and gathers *weights* instead of gradients. The traffic is the same. Stage 2 frees
# the other devices' gradient parts as well, and so must reduce after every micro-batch. Stage 3, or FSDP, also shards the weights and gathers them before each use, forward and backward:
# half as much traffic again.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: each device has all weights, gradients and optimizer states; what is dealt out is the batch.
# - Junior: averaged gradients are those of the global batch, so doubling the devices at a fixed share doubles the batch.
# - Mid: a ring all-reduce is reduce-scatter plus all-gather; $2(n-1)/n$ of the buffer sent per device, in $2(n-1)$ steps.
# - Mid: 16 bytes per parameter with Adam in mixed precision, and what each ZeRO stage divides by $n$.
# - Mid: with unequal token counts, weights each device's loss by its count; a mean of means is another loss.
# - Senior: why stages 1 and 2 send no more than plain data parallelism, and stage 3 half as much again, and what micro-batches change.
# - Senior: what makes communication dominate: few tokens per device, not many parameters.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, seed, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training import collectives as ring
from lmprep.training.collectives import Wire
from lmprep.training.distributed import average_gradients, in_processes, own_share, rank
from lmprep.training.loop import fit
from lmprep.training.optim import AdamW

device = setup()

# %% [markdown]
# ## Sixty-four replicas hold sixty-four times the model
#
# A model of 7 billion parameters is to be trained with Adam in mixed precision, on devices of 80 GB. At 16 bytes per parameter it
# does not fit, before the first activation. Data parallelism over 64 devices does not help: each holds all of it.
# That is what TensorFlow's `MirroredStrategy` and PyTorch's `DistributedDataParallel` do.
# How much does each device hold if optimizer states are sharded (stage 1), gradients too (2), or weights as well (3)?

# %%
print("GB per device, on  1    8   64 devices")
for stage in range(4):
    gigabytes = [ring.state_bytes(7e9, n, stage).total / 1e9 for n in (1, 8, 64)]
    print(f"stage {stage}  ", *(f"{each:7.1f}" for each in gigabytes))

# %% [markdown]
# Stage 0 is plain data parallelism. From stage 1 on, more devices do mean less memory on each. What does that cost in
# traffic?
#
# ## Two processes take the step of one
#
# Two real processes, joined by gloo, a communication library for CPUs, each have a copy of a small network that reads
# eight characters of English and predicts the ninth. Of 16 such windows, process 0 gets the first eight. The function below runs in both. `average_gradients` is
# a loop around `torch.distributed.all_reduce`; PyTorch's wrapper `DistributedDataParallel`, DDP, gets the same numbers in the background,
# while the backward pass is still at work. Then the book's `fit` trains for 30 updates, with nothing changed but that each
# process brings its share of every batch.

# %%
show(average_gradients)

# %%
# Try: rows = (12, 4). Each process still averages over its own rows, and the mean of the two
# is no longer the gradient of the 16 windows: the first agreement below fails.
rows, num_updates, hidden = (8, 8), 30, 64

text = normalize_text(" ".join(english_text()["train"]["text"]))[:60_000]
vocabulary = CharVocabulary.from_text(text)
V, start = len(vocabulary), seed(2)
windows = torch.tensor(vocabulary.encode(text)).unfold(0, 9, 1)  # (N, 9): eight, and the ninth
order = torch.randperm(len(windows), generator=generator(1))[: num_updates * 16]
batches = windows[order].view(num_updates, 16, 9)

# Of 32 sentences the eight shortest for process 0, the eight longest for process 1: their windows.
sentences = [
    torch.tensor(vocabulary.encode(line)) for line in text.split(". ") if len(line) > 9
]
chosen = torch.randperm(len(sentences), generator=generator(3))[:32].tolist()
by_length = sorted((sentences[i].unfold(0, 9, 1) for i in chosen), key=len)
uneven = [torch.cat(by_length[:8]), torch.cat(by_length[-8:])]


def network() -> nn.Module:
    torch.manual_seed(start)
    return nn.Sequential(
        nn.Embedding(V, 8),
        nn.Flatten(),
        nn.Linear(64, hidden),
        nn.Tanh(),
        nn.Linear(hidden, V),
    ).double()


def loss(model: nn.Module, windows: Tensor) -> Tensor:  # windows (B, 9)
    return nn.functional.cross_entropy(model(windows[:, :-1]), windows[:, -1])


def gradient(windows: Tensor, weight: float = 1.0, average: bool = False) -> Tensor:
    model = network()
    (weight * loss(model, windows)).backward()
    if average:
        average_gradients(model.parameters())
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def train(model: nn.Module) -> list[float]:
    log = fit(model, lambda step: own_share(batches[step]), loss, num_steps=num_updates,
              optimizer=AdamW(model.parameters(), lr=0.01))  # fmt: skip
    return [record.train_loss for record in log.records]


def in_each_process() -> dict[str, object]:
    mine, sentences = batches[0].split(rows)[rank()], uneven[rank()]
    dist.all_reduce(total := torch.tensor(len(sentences)))  # the windows of both
    weight = 2 * len(sentences) / total.item()
    return {"own": gradient(mine), "averaged": gradient(mine, average=True),
            "mean of means": gradient(sentences, average=True),
            "weighted": gradient(sentences, weight, average=True), "losses": train(network())}  # fmt: skip


first, second = in_processes(in_each_process, 2)

# %%
whole = gradient(batches[0])
agrees("whole_batch", "autograd in one process, on all 16 windows",
       first["averaged"], whole, atol=1e-14)  # fmt: skip
claim("shares_differ", "difference of the two processes' own gradients over the whole batch's gradient",
      (first["own"] - second["own"]).norm() / whole.norm(), at_least=0.5)  # fmt: skip
losses = train(alone := network())
apart = max(abs(a - b) for a, b in zip(first["losses"], losses, strict=True))
claim("same_curve", "30 updates: largest difference in loss between two processes and one",
      apart, at_most=1e-10, unit="nats")  # fmt: skip
print(f"loss: {losses[0]:.3f} at first, {losses[-1]:.3f} at the end, in one process and in two")

# %% [markdown]
# The two own gradients are far apart; their mean is the whole batch's gradient up to rounding, and so the loss curves
# coincide as well. Three things are needed: all copies start from the same weights, all shares have the same number of terms in their
# mean, and no term depends on other rows of the batch, as with batch norm or negatives drawn from the batch. To train a small GPT like this, on several GPUs too, run
# `torchrun --standalone --nproc-per-node 2 examples/train_gpt.py`.
#
# ## Equal shares of sentences are not equal shares of tokens
#
# Language models average over tokens. Sort 32 sentences by length, as a bucketing sampler might, and deal out buckets of eight: process 0
# gets the shortest, process 1 the longest. Each takes the mean over its own predictions, and DDP the mean of the two means. A prediction
# from a short sentence now counts for more than one from a long sentence. The remedy: each process multiplies its mean by
# its own count times the number of processes, divided by the total count.

# %%
target = gradient(torch.cat(uneven))
errors = {
    name: (first[name] - target).norm() / target.norm()
    for name in ("mean of means", "weighted")
}
print("predictions per process:", *map(len, uneven))
print("relative error:", *(f"  {name} {error:.1e}" for name, error in errors.items()))

# %%
claim("unequal_shares", "mean of two processes' means, unequal counts: relative error of the gradient",
      errors["mean of means"], at_least=0.1)  # fmt: skip
agrees("weighted", "autograd in one process, on all sentences",
       first["weighted"], target, atol=1e-14)  # fmt: skip

# %% [markdown]
# The same fault occurs in one process that [accumulates micro-batches](batching_grad_accumulation), and has the same remedy.
#
# ## Around the ring, twice
#
# How do $n$ devices add up a gradient of $L$ numbers? If all send theirs to device 0, which adds and sends the sum back, then
# device 0 receives and sends $(n-1)L$ numbers, and the others wait for it. In a ring, every device talks to its right
# neighbor only, and all links are busy at once. Cut each gradient into $n$ chunks. In *reduce-scatter*, each chunk goes once around; whoever
# holds it adds its own. After $n-1$ steps each device has one chunk of the complete sum. In *all-gather* these
# chunks go around once more.

# %%
show(ring.reduce_scatter, ring.all_gather, ring.ring_all_reduce)

# %% [markdown]
# To watch it, give three devices the gradients (1, 1, 1), (10, 10, 10) and (100, 100, 100). The digits of what is sent tell who has
# added to it:

# %%
log: list[str] = []


def watched(source: int, destination: int, chunk: Tensor) -> Tensor:
    log.append(f"{source} → {destination}: {chunk.item():3d}")
    return chunk.clone()


ring.ring_all_reduce([torch.full((3,), 10**r) for r in range(3)], watched)
for step in range(4):
    phase = "reduce-scatter" if step < 2 else "all-gather"
    print(f"{phase:<15}", "    ".join(log[3 * step : 3 * step + 3]))

# %% [markdown]
# There are $2(n-1)$ steps, and in each of them every device sends one chunk of $L/n$ numbers: $2\frac{n-1}{n}L$ in all. That stays
# below $2L$ for any $n$. As long as only devices add, the busiest cannot do with less {cite:p}`patarasuk2009bandwidth`. The price is
# latency: $2(n-1)$ messages one after the other. A small tensor on many devices travels faster along a tree, in about $2\log_2 n$.
#
# ## Sharded optimizer states cost no extra traffic
#
# Between the two halves of the ring, device $r$ holds the complete gradient of chunk $r$. It can update that chunk there and then, with optimizer states for the
# chunk alone. What goes around in the second half is then the new weights instead of the summed gradients: as many
# numbers. That is ZeRO stage 1.

# %%
show(ring.zero1_step)

# %% [markdown]
# Below, four devices, simulated in one process, train the network from above by stage 1. In each update the same gradients also go
# through an all-reduce, as data parallelism would send them. A `Wire` for each counts.

# %%
n, model = 4, network()
initial = parameters_to_vector(model.parameters()).detach()
shards = [shard.clone().requires_grad_() for shard in initial.tensor_split(n)]
optimizers = [AdamW([shard], lr=0.01) for shard in shards]
wires, copies = (Wire(n), Wire(n)), [initial] * n
for batch in batches:
    vector_to_parameters(copies[0], model.parameters())
    found = [
        torch.autograd.grad(loss(model, share), model.parameters()) for share in batch.chunk(n)
    ]
    gradients = [parameters_to_vector(each) for each in found]  # one per device: (L,)
    ring.ring_all_reduce(gradients, wires[0])
    copies = ring.zero1_step(shards, gradients, optimizers, wires[1])

sent = [wire.sent.max().item() / num_updates / len(initial) for wire in wires]
states = optimizers[0].state[shards[0]].values()
held = sum(state.numel() for state in states if torch.is_tensor(state)) / len(initial)
print(f"per device, in units of the model's {len(initial):,} weights")
print(f"sent per update: data parallelism {sent[0]:.3f}, stage 1 {sent[1]:.3f}")
print(f"Adam's averages: data parallelism 2, stage 1 {held:.3f}")

# %%
claim("same_traffic", "numbers that a device sends per update: ZeRO stage 1 over data parallelism",
      sent[1] / sent[0], at_least=0.9, at_most=1.1, thesis=True)  # fmt: skip
claim("a_share_of_states", "Adam's averages that one of four devices holds, per weight of the model",
      held, at_most=0.6)  # fmt: skip
one_device = parameters_to_vector(alone.parameters()).detach()
claim("same_weights", "after 30 updates: largest difference of a weight from one device's, of four copies",
      max((copy - one_device).abs().max() for copy in copies), at_most=1e-8)  # fmt: skip

# %% [markdown]
# The weights end where those of one device ended. Each device holds a fourth of the optimizer states, and sends as much as in data
# parallelism, to the number. Stage 2 sends the same messages: once they are sent, `zero1_step` reads only the device's own part of the gradient,
# and the others can be freed while the backward pass is still at work. But what is freed cannot be added to. With several micro-batches per
# update, stages 0 and 1 add up gradients first and reduce once; stage 2 reduces each:

# %%
wire = Wire(n)
for _micro_batch in range(4):
    parts = ring.reduce_scatter(gradients, wire)  # added to the part that the device keeps
ring.all_gather(parts, wire)
claim("accumulated", "4 micro-batches per update: numbers that a device sends, stage 2 over stage 1",
      wire.sent.max() / len(initial) / sent[1], at_least=1.75)  # fmt: skip

# %% [markdown]
# Stage 3 holds only its share of the weights between uses. It gathers them for the forward pass, layer by layer, frees them, gathers them again
# for the backward pass, and reduce-scatters the gradients: three passes around the ring, where an all-reduce is two.

# %%
devices, around = (2, 4, 8, 16, 32, 64), {"stages 0 to 2": [], "stage 3": []}
for count in devices:
    arrays, all_reduced, sharded = [torch.ones(640)] * count, Wire(count), Wire(count)
    ring.ring_all_reduce(arrays, all_reduced)
    parts = ring.reduce_scatter(arrays, sharded)
    for _ in ("forward", "backward"):
        ring.all_gather(parts, sharded)
    for sends, wire in zip(around.values(), (all_reduced, sharded), strict=True):
        sends.append(wire.sent.max().item() / 640)

# %% mystnb={"image": {"alt": "Two panels against the number of devices, 2 to 64, on a logarithmic axis. Top, gigabytes per device for a model of 7 billion parameters: stage 0 is flat at 112, above a dashed line at 80; stages 1 and 2 fall and flatten out near 29 and 16; stage 3 falls toward zero. Bottom, what a device sends per update in multiples of the gradient: stages 0 to 2 rise from 1 toward 2, stage 3 from 1.5 toward 3."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6), sharex=True, height_ratios=(3, 2))
for stage in range(4):
    gigabytes = [ring.state_bytes(7e9, count, stage).total / 1e9 for count in devices]
    top.plot(devices, gigabytes, "o-", label=f"stage {stage}")
top.plot(devices, [80] * len(devices), "--", color="0.5", linewidth=1, label="80 GB")
top.set(title="7 billion weights: states shrink, traffic levels off", ylabel="GB per device")
for (name, sends), color in zip(around.items(), ("C0", "C3"), strict=True):
    bottom.plot(devices, sends, "o-", color=color, label=name)
bottom.set_xscale("log", base=2)
bottom.set(xlabel="devices", ylabel="sent (× gradient)", ylim=(0, 3.2),
           xticks=devices, xticklabels=devices)  # fmt: skip
for ax in (top, bottom):
    label_lines(ax)
plt.show()

# %%
claim("below_twice", "2 to 64 devices: most numbers that one sends in an all-reduce, per number of the gradient",
      max(around["stages 0 to 2"]), below=2)  # fmt: skip
claim("half_again", "64 devices: numbers that one sends per update, ZeRO stage 3 over data parallelism",
      around["stage 3"][-1] / around["stages 0 to 2"][-1], at_least=1.4, at_most=1.6)  # fmt: skip

# %% [markdown]
# ## Tokens per device decide whether the wire is too slow
#
# A model of $N$ parameters takes [about $6N$](../architectures/transformer_block) floating-point operations per token: 2 per parameter in the forward
# pass and 4 in the backward pass. With $b$ tokens per device, that is $6Nb$ operations; the ring sends about $2N$ gradients of 2 bytes, so $4N$ bytes. The
# ratio, $1.5\,b$ operations per byte, does not contain $N$. A device that computes $4 \cdot 10^{14}$ operations per second and sends $5 \cdot 10^{10}$
# bytes per second does 8,000 operations in the time of one byte: below 5,300 tokens per device, sending takes longer than computing,
# however large the model. Only the backward pass can hide an all-reduce, and at two thirds of the operations it needs 8,000 tokens.
# So a fixed global batch cannot be spread over ever more devices. At stages 0 and 1, gradient accumulation helps, since it raises
# $b$; a larger batch [costs data](sgd_noise).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"ZeRO buys memory with traffic."** Stage 3 does, and stage 2 with micro-batches. Stage 1 did in DeepSpeed's first version, which all-reduced
# the gradients although each device needed one part of them, and then gathered the weights: half as much traffic again {cite:p}`deepspeed2020reducescatter`.
#
# **"The batch size is 32, I only added GPUs."** In PyTorch, `DataLoader(batch_size=32)` is what one *process* loads, so eight processes train
# with 256. In Keras, `fit(batch_size=32)` under `MirroredStrategy` sets the global batch, and each of eight replicas gets four. A script
# ported from one to the other trains with another batch at the old learning rate.
#
# **"`DistributedSampler` shuffles for me."** It derives the order from its seed and the epoch that it has been told. Without
# `sampler.set_epoch(epoch)` the epoch is always 0, and every epoch runs through the same order. The loss falls all the same.
#
# **"With ZeRO-3 any context length fits."** ZeRO's stages shard weights, gradients and optimizer states. Activations belong to the device that computed
# them, and grow with its tokens. Those need smaller micro-batches, recomputation in the backward pass, or splitting
# sequences and layers over devices.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What does FSDP do beyond ZeRO-3?
# It is the same idea in PyTorch {cite:p}`zhao2023pytorch`: the model is wrapped in units, often one per block. A unit's weights are gathered just before
# it runs, while the previous one computes, and freed after. Keep them until the backward pass, and one of the two gathers is saved, for
# stage 2's weight memory. Sharding within a node and replicating across nodes keeps the gathers on the fast links.
# :::
#
# :::{dropdown} Where does tensor parallelism belong?
# Where links are fastest, usually inside a node. It splits each matrix over devices, columns in the first and rows in the second of two, and needs
# two all-reduces of activations per Transformer layer in the forward pass and two in the backward pass {cite:p}`shoeybi2019megatron`. They are hard to
# hide: the next operation waits for the result.
# :::
#
# :::{dropdown} And pipeline parallelism?
# Each device holds some of the layers, and micro-batches flow through. With $p$ equally slow stages and $m$ micro-batches, devices idle for a fraction
# $\frac{p-1}{m+p-1}$ of the time, the bubble {cite:p}`huang2019gpipe`: 4 stages with 12 micro-batches idle for a fifth. Only activations and their gradients
# cross the borders, so it suits slow links.
# :::
#
# :::{dropdown} How does DDP hide the communication?
# Gradients of the last layers are ready first. DDP collects them in buckets, of 25 MB by default, and starts to reduce a bucket as soon as it is
# full, while the backward pass goes on to earlier layers {cite:p}`li2020pytorch`. With accumulation, `no_sync()` skips the all-reduce of all
# micro-batches but the last.
# :::
#
# :::{dropdown} How do I clip the global norm if gradients are sharded?
# Each device sums the squares of its own shard, one number is all-reduced, and all scale by the same factor. Clipping by
# each device's own norm would change the direction.
# :::
#
# :::{dropdown} What about batch norm and dropout?
# Batch norm takes its statistics from the device's own share, so two devices are not one with the whole batch; `SyncBatchNorm` all-reduces the
# statistics. Dropout needs *different* random numbers on each device, while the initial weights must be the same.
# :::
#
# :::{dropdown} Are two runs on different numbers of devices bit-equal?
# Not in general. The sums are taken in another order, so results differ in the last digits, and training amplifies that.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} ring_all_reduce
# ```


# %%
import numpy as np


def ring_all_reduce(arrays: list[np.ndarray], send) -> list[np.ndarray]:
    """Sum n arrays (L,) around a ring; rank r's result is entry r.

    send(source, destination, chunk) returns what arrives at the destination.
    """
    raise NotImplementedError


check("ring_all_reduce", ring_all_reduce)

# %% [markdown]
# ```{solution} ring_all_reduce
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`patarasuk2009bandwidth`: the ring, and the lower bound.
# - {cite:t}`li2020pytorch`: how DDP works. {cite:t}`rajbhandari2020zero`: 16 bytes per parameter, and the three stages.
# - {cite:t}`zhao2023pytorch`: FSDP. {cite:t}`shoeybi2019megatron`: tensor parallelism. {cite:t}`huang2019gpipe`: pipelines.
