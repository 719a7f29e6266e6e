"""An interactive view of attention weights, for notebooks and for the offline book.

It is one piece of HTML with its own style and script: no library, no request, no id that could clash with
another explorer on the page. Where scripts do not run, the strongest link of each token stands as text.
"""

import html
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

_MAX_TOKENS = 128  # a side: more rows than anyone scrolls through
_MAX_WEIGHTS = 200_000  # about 600 kB of page
_ROW_SUM_TOLERANCE = 0.01  # what a softmax in half precision leaves
_MARKS = {"\n": "⏎", "\r": "␍", "\t": "⇥", "": "∅", "\u200d": "\u200d"}  # the last one joins emoji


@dataclass(frozen=True)
class AttentionExplorer:
    """An explorer as a notebook shows it: `html`, or `text` where there is no HTML."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def attention_explorer(
    weights: Any,
    tokens: Sequence[str],
    *,
    key_tokens: Sequence[str] | None = None,
    title: str = "Attention",
    alt: str = "",
) -> AttentionExplorer:
    """Show attention weights by layer and head; end a cell with it.

    Pointing at a query token, tapping it or reaching it by keyboard shows where it attends. Layers and heads
    are numbered from 1. White space and control characters in tokens are made visible.

    Args:
        weights: (L, H, T, S), (H, T, S) or (T, S): a tensor, array or nested lists. Each row sums to 1, or
            is all zeros (a fully masked query). They are shown to two decimals and kept to three.
        tokens: the T query tokens.
        key_tokens: the S key tokens; the same as `tokens` if not given.
        title: shown above.
        alt: what there is to see, in a sentence, for those who cannot see it.

    Raises:
        ValueError: `weights` has another rank, is empty or too large, holds NaN or a negative number, or a
            row sums to something else; the number of tokens does not fit it.
        TypeError: a token is no string.
    """
    keys = tokens if key_tokens is None else key_tokens
    array = _checked(weights)
    _, heads, num_queries, num_keys = array.shape
    for name, side, size in (("tokens", tokens, num_queries), ("key_tokens", keys, num_keys)):
        _check_tokens(name if key_tokens is not None else "tokens", side, size, array.shape)
    query_tokens, key_tokens = [_visible(t) for t in tokens], [_visible(t) for t in keys]
    query_names, key_names = _names(query_tokens), _names(key_tokens)
    thousandths = np.rint(array * 1000).astype(int)
    links = _strongest_links(thousandths[0, 0], query_names, key_names)
    where = " of layer 1, head 1" if len(array) * heads > 1 else ""
    summary = f"Strongest link of each token{where}:"
    data = {
        "weights": thousandths.tolist(),
        "queryTokens": query_tokens,
        "keyTokens": key_tokens,
        "queries": query_names,
        "keys": key_names,
    }
    label = f"{title}. {alt}".strip() if alt else title
    items = "".join(f"<li>{html.escape(link)}</li>" for link in links)
    return AttentionExplorer(
        html=(
            f'<div class="lmprep-attention" role="figure" aria-label="{html.escape(label)}">\n'
            f"<style>\n{_resource('explorer.css')}</style>\n"
            f'<p class="lmprep-attention-title">{html.escape(title)}</p>\n'
            f'<div class="lmprep-attention-view"><p>{summary}</p>'
            f'<ul class="lmprep-attention-list">{items}</ul></div>\n'
            f'<script type="application/json">{_json(data)}</script>\n'
            f"<script>\n{_resource('explorer.js')}</script>\n"
            "</div>"
        ),
        text="\n".join([label, summary, *links]),
    )


def _checked(weights: Any) -> np.ndarray:
    """As float64 (L, H, T, S)."""
    if hasattr(weights, "detach"):  # a tensor: numpy reads none that has a gradient or is on a GPU
        weights = weights.detach().cpu().tolist()
    try:
        array = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"weights must be an array of numbers with equal rows: {error}") from error
    if not 2 <= array.ndim <= 4:
        raise ValueError(f"weights must have shape (L, H, T, S), (H, T, S) or (T, S), got {array.shape}")
    array = array.reshape((1,) * (4 - array.ndim) + array.shape)
    if array.size == 0:
        raise ValueError(f"weights is empty: shape {array.shape}")
    if max(array.shape[-2:]) > _MAX_TOKENS:
        raise ValueError(
            f"weights spans {array.shape[-2]} by {array.shape[-1]} tokens, more than the {_MAX_TOKENS} a "
            "side that can be read: pass a part of the sequence"
        )
    if array.size > _MAX_WEIGHTS:
        raise ValueError(
            f"weights holds {array.size:,} numbers, more than the {_MAX_WEIGHTS:,} a page should carry: "
            "pass fewer layers or heads, or a part of the sequence"
        )
    if np.isnan(array).any():
        raise ValueError(
            "weights holds NaN: a softmax over a fully masked row gives NaN, make such rows zero"
        )
    if (array < 0).any():
        raise ValueError(f"weights must not be negative, got {array.min():.3g}: pass them after the softmax")
    sums = array.sum(axis=-1)
    wrong = np.argwhere((sums != 0) & ~(np.abs(sums - 1) <= _ROW_SUM_TOLERANCE))
    if len(wrong):
        layer, head, query = wrong[0]
        raise ValueError(
            f"each row of weights must sum to 1, or be all zeros; row {query} of layer {layer}, head {head} "
            f"(counted from 0) sums to {sums[layer, head, query]:.4g}"
        )
    return array


def _check_tokens(name: str, tokens: Sequence[str], size: int, shape: tuple[int, ...]) -> None:
    for token in tokens:
        if not isinstance(token, str):
            raise TypeError(f"{name} must be strings, got {type(token).__name__}: decode the ids first")
    if len(tokens) != size:
        raise ValueError(f"{name} has {len(tokens)} tokens, but weights of shape {shape} wants {size}")


def _visible(token: str) -> str:
    """The token with a sign for what would not be seen, or would change what stands around it."""
    return _MARKS[token] if token in _MARKS else "".join(map(_mark, token))


def _mark(character: str) -> str:
    if character in _MARKS:
        return _MARKS[character]
    category = unicodedata.category(character)
    if category == "Zs":
        return "␣"
    # Controls, invisible and direction marks, line separators, lone surrogates.
    return f"\\u{ord(character):04x}" if category in ("Cc", "Cf", "Zl", "Zp", "Cs") else character


def _names(tokens: list[str]) -> list[str]:
    """Each token as a sentence names it: with its position, counted from 1, if it occurs more than once."""
    counts = Counter(tokens)
    return [token if counts[token] == 1 else f"{token} [{i}]" for i, token in enumerate(tokens, start=1)]


def _strongest_links(thousandths: np.ndarray, queries: list[str], keys: list[str]) -> list[str]:
    links = []
    for query, row in zip(queries, thousandths, strict=True):
        best = int(row.argmax())
        link = f"“{keys[best]}” {row[best] / 1000:.2f}" if row[best] else "nothing (masked)"
        links.append(f"“{query}” → {link}")
    return links


def _json(data: Any) -> str:
    """As JSON that no token can end, whatever it holds."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _resource(name: str) -> str:
    return files("lmprep").joinpath(name).read_text(encoding="utf8")
