"""Reading the book's entries from their only source, the py:percent notebooks.

Everything derived (header lines, index, errors, evidence, contract tests) starts from `read_entry`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = (
    "foundations",
    "architectures",
    "training",
    "pretraining",
    "transfer",
    "data",
    "evaluation",
    "compression",
    "interpretability",
    "trust",
)

# The fixed blocks of an entry, in their order: cell tag -> heading.
BLOCKS = {
    "answer": "The 30-second answer",
    "rubric": "What the interviewer listens for",
    "errors": "What common answers get wrong",
    "followups": "Follow-ups",
    "exercise": "Your turn",
    "references": "References",
}

# The header's fields: what each may hold. `needs` and `tasks` may be left out.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "source": (lambda value: value is None or isinstance(value, str), "text or none"),
    "short": (lambda value: isinstance(value, str), "text"),
    "question_zh": (lambda value: isinstance(value, str), "text"),
    "level": (lambda value: type(value) is int, "a whole number"),
    "asked": (lambda value: type(value) is int, "a whole number"),
    "needs": (lambda value: _is_names(value), "a list of slugs"),
    "tasks": (lambda value: _is_names(value), "a list of task names"),
}

_WORDS_PER_MINUTE = 180
_CODE_LINES_PER_MINUTE = 25


@dataclass(frozen=True)
class Cell:
    """One cell: `kind` is "markdown" or "code"."""

    kind: str
    source: str
    metadata: dict[str, Any]

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("tags", ()))


@dataclass(frozen=True)
class Entry:
    """One entry of the book, as its source says it. The slug is its id everywhere."""

    path: Path
    source: str | None
    short: str
    question: str
    question_zh: str
    level: int
    asked: int
    needs: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def slug(self) -> str:
        return self.path.stem

    @property
    def part(self) -> str:
        return self.path.parent.name

    @property
    def docname(self) -> str:
        """The page's name in the book, such as `notebooks/architectures/self_attention_math`."""
        return f"notebooks/{self.part}/{self.slug}"

    @property
    def code(self) -> tuple[str, ...]:
        """The code cells' sources: what the outputs depend on."""
        return tuple(cell.source for cell in self.cells if cell.kind == "code")

    @property
    def minutes(self) -> int:
        """Reading time, from the length of prose and code."""
        prose = sum(len(re.findall(r"[^\W\d_]{2,}", c.source)) for c in self.cells if c.kind == "markdown")
        code = sum(len([line for line in source.splitlines() if line.strip()]) for source in self.code)
        return max(1, round(prose / _WORDS_PER_MINUTE + code / _CODE_LINES_PER_MINUTE))

    def tagged(self, tag: str) -> str:
        """The Markdown of the cells with `tag`, joined; empty if there is none."""
        return "\n\n".join(c.source for c in self.cells if c.kind == "markdown" and tag in c.tags)


def read_entry(path: Path) -> Entry:
    """Parse one notebook source.

    Raises:
        ValueError: the header lacks the `lmprep` block or one of its fields, a field is unknown or of the
            wrong type, or there is no H1.
    """
    import jupytext

    notebook = jupytext.read(path, fmt="py:percent")
    block = notebook.metadata.get("lmprep")
    if not isinstance(block, dict):
        raise ValueError(f"{path}: no `lmprep:` block under `jupyter:` in the header")
    header: dict[str, Any] = {"needs": None, "tasks": None, **block}
    missing = [name for name in _FIELDS if name not in header]
    if missing:
        raise ValueError(f"{path}: the `lmprep:` header lacks {', '.join(missing)}")
    for name, value in header.items():
        if name not in _FIELDS:
            raise ValueError(f"{path}: the header's `{name}` is unknown: the fields are {', '.join(_FIELDS)}")
        holds, wanted = _FIELDS[name]
        if not holds(value):
            raise ValueError(f"{path}: the header's `{name}` must be {wanted}, got {value!r}")
    cells = tuple(Cell(c.cell_type, c.source, dict(c.metadata)) for c in notebook.cells)
    titles = [
        text
        for cell in cells
        if cell.kind == "markdown"
        for level, text in headings(cell.source)
        if level == 1
    ]
    if not titles:
        raise ValueError(f"{path}: no H1 (the interviewer's question)")
    return Entry(
        path=path,
        source=None if header["source"] == "none" else header["source"],
        short=header["short"],
        question=titles[0],
        question_zh=header["question_zh"],
        level=header["level"],
        asked=header["asked"],
        needs=tuple(header["needs"] or ()),
        tasks=tuple(header["tasks"] or ()),
        cells=cells,
    )


def headings(markdown: str) -> list[tuple[int, str]]:
    """The headings of a Markdown text with their levels, without what only looks like one in a code block."""
    prose = re.sub(r"^(```+|~~~+).*?^\1", "", markdown, flags=re.M | re.S)
    return [(len(marks), text.strip()) for marks, text in re.findall(r"^(#{1,6}) +(.+)$", prose, re.M)]


def read_entries(root: Path) -> list[Entry]:
    """All entries that `_toc.yml` under `root` names, in its order.

    Raises:
        ValueError: `_toc.yml` names a notebook that is not there.
    """
    import yaml

    entries = []
    for file in _files_in(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf8"))):
        if not file.startswith("notebooks/"):
            continue
        path = root / f"{file}.py"
        if not path.exists():
            raise ValueError(f"_toc.yml names {file}, but {path} does not exist")
        entries.append(read_entry(path))
    return entries


def _files_in(node: Any) -> list[str]:
    """Every `file:` of a parsed `_toc.yml`, depth first."""
    if isinstance(node, list):
        return [file for item in node for file in _files_in(item)]
    if not isinstance(node, dict):
        return []
    own = [str(node["file"]).removesuffix(".py")] if "file" in node else []
    return own + [file for value in node.values() if isinstance(value, list) for file in _files_in(value)]


def _is_names(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))
