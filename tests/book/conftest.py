"""A small book that meets the contract, on which the tests of the book are themselves tested."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

SAMPLE = '''\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 1
#     needs: []
#     question_zh: 为什么温度会改变分布？
#     short: Softmax temperature
#     source: L16
#     tasks:
#     - stable_softmax
# ---

# %% [markdown]
# # What does temperature do to a distribution, and what does it leave alone?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Temperature divides the logits before the softmax. Below one, the gaps between logits grow, so the best
# token takes more of the mass; above one they shrink and the distribution flattens. The order of the tokens
# never changes, so greedy decoding ignores temperature. At zero it becomes the argmax, at infinity uniform.
# It changes how much we trust the model, not what the model knows.
#
# :::{dropdown} The two-minute answer
# For logits $z$ of shape $(V,)$ the weights are $\\mathrm{softmax}(z / t)$.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: it divides the logits, not the probabilities.
# - Mid: the order of the tokens stays.
# - Senior: what calibration has to do with it.

# %%
import matplotlib.pyplot as plt
import numpy as np
import scipy.special

from lmprep.evidence import agrees, claim
from lmprep.notebook import rng, setup
from lmprep.practice import check

device = setup()

# %% [markdown]
# ## Dividing logits widens their gaps
#
# A model with $V = 256$ tokens gives logits $z$.

# %%
# Try: t = 5.0. The distribution flattens and the thesis breaks.
t = 0.1
logits = rng(1).normal(size=256)


# %%
def softmax(z):
    """Weights (V,) of logits (V,)."""
    powers = np.exp(z - z.max())
    return powers / powers.sum()


weights = softmax(logits / t)
agrees("softmax", "scipy.special.softmax", weights, scipy.special.softmax(logits / t), atol=1e-12)
print("largest weight:", round(float(weights.max()), 4))

# %% mystnb={"image": {"alt": "Bars of the largest weights; the first is far higher."}}
fig, ax = plt.subplots()
ax.bar(range(8), sorted(weights, reverse=True)[:8])
plt.show()

# %%
moved = np.argsort(weights) != np.argsort(logits)
claim("order_stays", "tokens whose rank changes", moved.sum(), at_most=0)
claim("best_gains", "mass of the best token at a low temperature", weights.max(), at_least=0.3, thesis=True)

# %% [markdown]
# The best token now holds much of the mass.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Temperature makes the model more creative."** Ask: *does it propose other tokens?* No, the order stays:

# %%
print("order kept:", bool((np.argsort(softmax(logits)) == np.argsort(weights)).all()))

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What happens at zero?
# It becomes the argmax.
# :::
#
# :::{dropdown} Does greedy decoding care?
# No. The order stays.
# :::
#
# :::{dropdown} How is it fitted for calibration?
# By minimizing the loss on held-out data {cite:p}`guo2017calibration`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} stable_softmax
# ```

# %%
def stable_softmax(z):
    """Weights (V,) of logits (V,)."""
    raise NotImplementedError


check("stable_softmax", stable_softmax)

# %% [markdown]
# ```{solution} stable_softmax
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`guo2017calibration`: temperature scaling.
# - {cite:t}`hinton2015distilling`: temperature in distillation.
'''

SABOTAGE = '''\
"""The logits are all equal: no token can gain."""

import numpy as np

THESIS = "best_gains"


class Flat:
    def normal(self, size):
        return np.zeros(size)


def sabotage(patch):
    patch.setattr("lmprep.notebook.rng", lambda k=0: Flat())
'''

STARTER = '''\
def stable_softmax(z):
    """Weights (V,) of logits (V,)."""
    raise NotImplementedError
'''


@pytest.fixture
def sample_root(tmp_path: Path, root: Path) -> Path:
    """The root of a book of one entry, `foundations/softmax_temperature`."""
    files = {
        "_toc.yml": "root: book/index\nchapters:\n- file: notebooks/foundations/softmax_temperature\n",
        "book/references.bib": "@article{guo2017calibration,\n}\n\n@misc{hinton2015distilling,\n}\n",
        "notebooks/foundations/softmax_temperature.py": SAMPLE,
        "tests/foundations/sabotage_softmax_temperature.py": SABOTAGE,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    shutil.copy(root / "jupytext.toml", tmp_path)
    return tmp_path


@pytest.fixture
def sample_entry(sample_root: Path) -> Path:
    return sample_root / "notebooks/foundations/softmax_temperature.py"


@pytest.fixture
def sample_tasks() -> dict[str, SimpleNamespace]:
    """The sample's task, as far as the contract looks at it."""
    task = SimpleNamespace(entry="softmax_temperature", starter=STARTER.strip(), function="stable_softmax")
    return {"stable_softmax": task}
