"""The start of a new entry: its notebook and its sabotage, with every fixed block in place.

Where something is to be written stands TODO and what belongs there. The contract test refuses a TODO, so that
no half-written entry gets into the book.
"""

import re
from pathlib import Path

from lmprep.entries import PARTS

_TODO = "TODO"
_SOURCE = re.compile(r"[SL](0[1-9]|[12]\d|30)")


def new_entry(
    root: Path, part: str, slug: str, *, source: str | None = None, short: str = "", question: str = ""
) -> tuple[Path, Path]:
    """Write the notebook and the sabotage of a new entry under `root`; return their paths.

    Args:
        root: the book's root, which holds `notebooks/` and `tests/`.
        part: one of the ten parts.
        slug: the entry's id: lower-case words joined by underscores. It never changes later.
        source: S01–S30 or L01–L30, where the question was first asked.
        short: the sidebar's title, at most five words.
        question: as an interviewer says it.

    Raises:
        ValueError: an argument is not of that form, or there is an entry with that slug.
        FileExistsError: one of the two files is there already; neither is then written.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}; got {part!r}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", slug):
        raise ValueError(
            f"slug must be lower-case words joined by underscores, as in rnn_gates; got {slug!r}"
        )
    for other in sorted((root / "notebooks").glob(f"*/{slug}.py")):
        if other.parent.name != part:
            raise ValueError(
                f"slug {slug!r} is taken by {other}: slugs are ids in the whole book, choose another"
            )
    if source is not None and not _SOURCE.fullmatch(source):
        raise ValueError(f"source must be S01 to S30 or L01 to L30, or left out; got {source!r}")
    if len(short.split()) > 5:
        raise ValueError(f"short must have at most five words; got {short!r}")
    if question and not question.endswith("?"):
        raise ValueError(f"question must end with a question mark; got {question!r}")
    notebook = root / "notebooks" / part / f"{slug}.py"
    sabotage = root / "tests" / part / f"sabotage_{slug}.py"
    for path in (notebook, sabotage):
        if path.exists():
            raise FileExistsError(f"{path} exists already: edit it, or choose another slug")
    fields = {
        "<source>": source or "none",
        "<short>": _quoted(short or f"{_TODO} at most five words"),
        "<question>": question or f"{_TODO} the question, as an interviewer says it?",
        "<part>": part,
        "<slug>": slug,
    }
    for path, template in ((notebook, _NOTEBOOK), (sabotage, _SABOTAGE)):
        for name, value in fields.items():
            template = template.replace(name, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template, encoding="utf8")
    return notebook, sabotage


def _quoted(text: str) -> str:
    """As YAML writes it: in quotes where it needs them."""
    import yaml

    return yaml.safe_dump(text, allow_unicode=True, width=1000).removesuffix("\n...\n").rstrip("\n")


_NOTEBOOK = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: TODO 0 to 3, where 3 is asked in most interviews
#     level: TODO 1 to 3, junior to senior
#     needs: []
#     question_zh: TODO the question in Chinese
#     short: <short>
#     source: <source>
#     tasks:
#     - TODO
# ---

# %% [markdown]
# # <question>

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# TODO What one would say aloud: 55 to 85 words, no formula that cannot be spoken. One sentence of it is the
# thesis, the one an interviewer would doubt.
#
# :::{dropdown} The two-minute answer
# TODO The same in depth: every symbol with its shape, what it costs, when it does not hold.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: TODO a point that can be checked.
# - Mid: TODO
# - Senior: TODO

# %%
import matplotlib.pyplot as plt

from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.practice import check

device = setup()

# %% [markdown]
# ## TODO What this section shows, not what it is
#
# TODO The idea, with every symbol and shape defined. Code that anything else imports lives in
# `src/lmprep/<part>/` and is shown with `show(function)`; other code is written in its cell.

# %%
# TODO show(...) and a comparison with a library that is not ours:
agrees("TODO", "TODO the.library.function", [0.0], [1.0], atol=1e-6)

# %% [markdown]
# ## TODO What the experiment finds
#
# TODO What is varied and what is measured. No measured number in the text: point at the output.

# %%
# Try: TODO What to change, what to expect, and which claim then holds or breaks, and why.

# %% mystnb={"image": {"alt": "TODO What the figure shows, for a reader who cannot see it."}}
fig, ax = plt.subplots()
ax.set(title="TODO the finding", xlabel="TODO with unit", ylabel="TODO with unit")
plt.show()

# %%
# TODO Inequalities with a margin of about half the effect. Two at least, one of them the thesis.
claim("TODO", "TODO in words, without the number", 0.0, at_least=1.0)
claim("TODO_thesis", "TODO the sentence to doubt", 0.0, at_least=1.0, thesis=True)

# %% [markdown]
# TODO A sentence or two of interpretation.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"TODO What a candidate might really say."** Ask: *TODO what exposes it?* TODO What is right. Four at most.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} TODO What is really asked next?
# TODO Two to five sentences.
# :::
#
# :::{dropdown} TODO?
# TODO
# :::
#
# :::{dropdown} TODO?
# TODO
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} TODO
# ```

# %%
# TODO The task's starter as it stands in lmprep.practice, an empty line, and check("name", function).

# %% [markdown]
# ```{solution} TODO
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`TODO`: what it says about this. Primary sources, looked up, in `book/references.bib`.
"""

_SABOTAGE = '''\
"""TODO What is broken here, and why the thesis of <slug> must then fail."""

import functools

from pytest import MonkeyPatch

from lmprep.<part> import TODO as module

THESIS = "TODO_thesis"  # the key of the claim with thesis=True


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.TODO

    @functools.wraps(sound)  # so that show(...) still finds its source
    def broken(*arguments, **options):
        return sound(*arguments, **options)  # TODO what the thesis measures, broken by this one patch

    patch.setattr(module, "TODO", broken)
'''
