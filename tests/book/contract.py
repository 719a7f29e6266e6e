"""What must hold for every entry, as rules: each says what is wrong with a page, or nothing.

`faults` looks at an entry's source, `faults_as_run` at its executed notebook. Form can be checked here;
whether a page is true and good to read, only its claims and its readers can tell.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupytext.config import load_jupytext_configuration_file

from lmprep.entries import BLOCKS, PARTS, Entry, headings, read_entry
from lmprep.evidence import EVIDENCE_MIME
from lmprep.practice import TASKS
from lmprep_book.derive import records_of
from lmprep_book.execute import over_budget

MOST_WORDS, MOST_CODE_LINES, MOST_CELLS = 1800, 160, 40
SPOKEN_WORDS = range(55, 86)
TAGS = {*BLOCKS, "sheet", "hide-input", "hide-output", "remove-input", "nbval-ignore-output"}

_HEADER = re.compile(r"\A# ---\n.*?\n# ---\n", re.S)
_DROPDOWN = re.compile(r"^(:{3,}|`{3,})\{dropdown\}[ \t]*(.*?)\n(.*?)^\1[ \t]*$", re.M | re.S)
_DIRECTIVE = re.compile(r"^```\{(task|solution)\} (\S+)\n```$", re.M)
_CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w])")

_SEEDED = {
    "manual_seed",
    "manual_seed_all",
    "seed",
    "default_rng",
    "RandomState",
    "set_seed",
    "Random",
    "PCG64",
}
_SEED_OPTIONS = {"seed", "random_state"}
_NETWORK_MODULES = {"requests", "httpx", "aiohttp", "urllib", "socket", "huggingface_hub", "http"}
_NETWORK_CALLS = re.compile(
    r"fetch_\w+|urlopen|urlretrieve|download|\w+_from_url|hf_hub_download|snapshot_download"
)
_LOCAL_FORMATS = {"json", "csv", "text", "parquet"}
_CLOCKS = {"time", "timeit", "datetime"}
_SHOWING = {"claim", "agrees", "show", "print", "display", "check"}
_FIGURES = {"subplots", "subplot_mosaic", "figure", "as_pyplot_figure"}
_EMPTY_HEADING = re.compile(
    r"(the )?(experiments?|results?|introduction|background|implementation|overview|summary|conclusions?|"
    r"set-?up|imports?|code|theory|discussion|motivation|method)",
    re.I,
)


@dataclass(frozen=True)
class Book:
    """What an entry is held against."""

    root: Path
    slugs: Mapping[str, int]
    """Every notebook's slug, and how many have it."""
    citations: frozenset[str]
    tasks: Mapping[str, Any]


def read_book(root: Path, tasks: Mapping[str, Any] = TASKS) -> Book:
    slugs = Counter(path.stem for path in notebooks(root))
    bibliography = (root / "book" / "references.bib").read_text(encoding="utf8")
    return Book(root, slugs, frozenset(re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.M)), tasks)


def notebooks(root: Path) -> list[Path]:
    """Every notebook source, whether or not the table of contents names it."""
    return sorted((root / "notebooks").glob("*/*.py"))


@dataclass(frozen=True)
class Page:
    """An entry's source, taken apart."""

    entry: Entry
    text: str

    @cached_property
    def prose(self) -> str:
        return "\n\n".join(cell.source for cell in self.entry.cells if cell.kind == "markdown")

    @cached_property
    def sections(self) -> dict[str, str]:
        """H2 heading -> the Markdown below it."""
        found: dict[str, str] = {}
        current, fence = "", ""
        for line in self.prose.splitlines():
            if marks := re.match(r"`{3,}|~{3,}", line):
                fence = "" if fence and line.startswith(fence) else fence or marks[0]
            heading = None if fence else re.match(r"## +(.+)", line)
            if heading:
                current = heading[1].strip()
            found[current] = found.get(current, "") + ("" if heading else line + "\n")
        return found

    def block(self, tag: str) -> str:
        """The Markdown of one of the fixed blocks."""
        return self.sections.get(BLOCKS[tag], "")

    @cached_property
    def trees(self) -> list[ast.Module]:
        """The code cells that are Python."""
        return [tree for code in self.entry.code if (tree := _parsed(code))]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return [node for tree in self.trees for node in ast.walk(tree)]

    def calls(self, *names: str) -> list[ast.Call]:
        return [node for node in self.nodes if isinstance(node, ast.Call) and _called(node) in names]

    @cached_property
    def evidence(self) -> list[ast.Call]:
        """Every claim and comparison, in order."""
        return sorted(self.calls("claim", "agrees"), key=lambda call: self._order(call))

    def _order(self, call: ast.Call) -> tuple[int, int]:
        cell = next(index for index, tree in enumerate(self.trees) if call in ast.walk(tree))
        return cell, call.lineno

    @cached_property
    def library_names(self) -> set[str]:
        """What is imported from lmprep."""
        imported = [node for node in self.nodes if isinstance(node, ast.ImportFrom)]
        ours = [node for node in imported if (node.module or "").split(".")[0] == "lmprep"]
        return {alias.asname or alias.name for node in ours for alias in node.names}

    @cached_property
    def thesis_keys(self) -> list[str]:
        theses = [call for call in self.calls("claim") if _is_thesis(call)]
        return [str(_constant(_argument(call, 0, "key"))) for call in theses]


def faults(path: Path, book: Book) -> list[str]:
    """What is wrong with an entry's source, each fault under the name of its rule."""
    try:
        page = Page(read_entry(path), path.read_text(encoding="utf8"))
    except ValueError as error:
        return [f"header: {error}"]
    return [f"{rule.__name__.removeprefix('_')}: {fault}" for rule in RULES for fault in rule(page, book)]


def faults_as_run(entry: Entry, notebook: nbformat.NotebookNode) -> list[str]:
    """What is wrong with an entry's executed notebook."""
    page = Page(entry, "")
    return [
        f"{rule.__name__.removeprefix('_')}: {fault}"
        for rule in RULES_AS_RUN
        for fault in rule(page, notebook)
    ]


# --- header and form ---------------------------------------------------------------------------------------


def _header(page: Page, book: Book) -> Iterator[str]:
    entry = page.entry
    if entry.source is not None and not re.fullmatch(r"[SL](0[1-9]|[12]\d|30)", entry.source):
        yield f"source must be S01–S30, L01–L30 or none, got {entry.source!r}"
    if not 1 <= len(entry.short.split()) <= 5:
        yield f"short must have one to five words, got {entry.short!r}"
    if not re.search(r"[\u4e00-\u9fff]", entry.question_zh):
        yield f"question_zh is not Chinese: {entry.question_zh!r}"
    if entry.level not in (1, 2, 3):
        yield f"level must be 1, 2 or 3, got {entry.level}"
    if entry.asked not in (0, 1, 2, 3):
        yield f"asked must be 0, 1, 2 or 3, got {entry.asked}"


def _place(page: Page, book: Book) -> Iterator[str]:
    entry = page.entry
    if entry.part not in PARTS:
        yield f"{entry.part!r} is none of the ten parts"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", entry.slug):
        yield f"slug {entry.slug!r} is not lower-case words joined by underscores"
    if book.slugs[entry.slug] != 1:
        yield f"{book.slugs[entry.slug]} entries have the slug {entry.slug!r}"


def _unwritten(page: Page, book: Book) -> Iterator[str]:
    for number, line in enumerate(page.text.splitlines(), 1):
        if "TODO" in line:
            yield f"line {number} is not written yet: {line.strip()[:80]}"


def _title(page: Page, book: Book) -> Iterator[str]:
    titles = [text for level, text in headings(page.prose) if level == 1]
    if len(titles) != 1:
        yield f"there must be exactly one H1, found {titles}"
    if not page.entry.cells[0].source.startswith("# "):
        yield "the first cell must begin with the H1"
    if not page.entry.question.endswith("?"):
        yield f"the H1 is what an interviewer asks, and ends with a question mark: {page.entry.question!r}"


def _blocks(page: Page, book: Book) -> Iterator[str]:
    seen: list[str] = []
    tag = None
    for cell in page.entry.cells:
        found = (
            [text for level, text in headings(cell.source) if level == 2] if cell.kind == "markdown" else []
        )
        for heading in found:
            tag = next((tag for tag, text in BLOCKS.items() if text == heading), None)
            if tag:
                seen.append(tag)
                if tag not in cell.tags:
                    yield f"the cell with '## {heading}' needs the tag {tag!r}"
                if found != [heading]:
                    yield f"the cell with '## {heading}' has other H2 headings: {found}"
        for other in BLOCKS:
            if other in cell.tags and other != tag:
                yield f"a cell outside '## {BLOCKS[other]}' has the tag {other!r}"
    if seen != list(BLOCKS):
        yield f"the fixed blocks must be {list(BLOCKS)}, in this order; found {seen}"


def _tags(page: Page, book: Book) -> Iterator[str]:
    for cell in page.entry.cells:
        for tag in cell.tags:
            if tag not in TAGS:
                yield f"unknown tag {tag!r}: known are {', '.join(sorted(TAGS))}"
        if "nbval-ignore-output" in cell.tags and re.search(r"\b(claim|agrees)\(", cell.source):
            yield "a cell with evidence must not have its output ignored"
        if "NBVAL_" in cell.source:
            yield "comments for nbval are not used: tag a cell whose output varies nbval-ignore-output"


def _headings(page: Page, book: Book) -> Iterator[str]:
    for _, text in headings(page.prose):
        if _EMPTY_HEADING.fullmatch(text):
            yield f"{text!r} says what the section is, not what it shows"


def _length(page: Page, book: Book) -> Iterator[str]:
    lines = [line.strip() for code in page.entry.code for line in code.splitlines()]
    code = sum(1 for line in lines if line and not line.startswith("#"))
    for what, length, most in (
        ("words", words(page.prose), MOST_WORDS),
        ("lines of code", code, MOST_CODE_LINES),
        ("cells", len(page.entry.cells), MOST_CELLS),
    ):
        if length > most:
            yield f"{length} {what}, at most {most}"


def _round_trip(page: Page, book: Book) -> Iterator[str]:
    """Through jupytext and JupyterLab's format and back. Only the header may be spelled anew: there, jupytext
    escapes Chinese."""
    config = load_jupytext_configuration_file(str(book.root / "jupytext.toml"))
    notebook = jupytext.reads(page.text, fmt="py:percent", config=config)
    stored = nbformat.reads(nbformat.writes(notebook), as_version=4)
    back = jupytext.writes(stored, fmt="py:percent", config=config)
    for here, there in zip(_body(page.text), _body(back), strict=False):
        if here != there:
            yield f"jupytext writes {there!r} for {here!r}"
            return
    if len(_body(page.text)) != len(_body(back)):
        yield "jupytext adds or drops lines at the end"
    header = jupytext.reads(back, fmt="py:percent", config=config).metadata
    for name in ("lmprep", "kernelspec"):
        if notebook.metadata.get(name) != header.get(name):
            yield f"jupytext changes the header's {name}"


def _python(page: Page, book: Book) -> Iterator[str]:
    """jupytext takes some comments, `# copy the weights` for one, for disabled commands and runs them."""
    written = re.findall(r"^# %%(?! *\[markdown\])[^\n]*\n(.*?)(?=^# %%|\Z)", page.text, re.M | re.S)
    for as_written, as_read in zip(written, page.entry.code, strict=False):
        if as_written.strip("\n") != as_read.strip("\n"):
            yield f"jupytext reads a comment as a command: {_first_line(as_written)}"
        elif not _parsed(as_read):
            yield f"not plain Python: {_first_line(as_read)}"
    if len(written) != len(page.entry.code):
        yield f"{len(written)} code cells are written, jupytext reads {len(page.entry.code)}"


# --- the fixed blocks --------------------------------------------------------------------------------------


def _answer(page: Page, book: Book) -> Iterator[str]:
    spoken = re.split(r"^(?::{3,}|`{3,})", page.block("answer"), maxsplit=1, flags=re.M)[0]
    if words(spoken) not in SPOKEN_WORDS:
        yield f"the spoken answer has {words(spoken)} words, wanted {SPOKEN_WORDS[0]} to {SPOKEN_WORDS[-1]}"
    if re.search(r"\$\$|\\[a-zA-Z]+", spoken):
        yield "the spoken answer holds a formula that cannot be spoken"


def _two_minutes(page: Page, book: Book) -> Iterator[str]:
    titles = [title for _, title, body in _DROPDOWN.findall(page.block("answer")) if body.strip()]
    if not any("two-minute" in title.lower() for title in titles):
        yield "the answer lacks its dropdown 'The two-minute answer'"


def _rubric(page: Page, book: Book) -> Iterator[str]:
    points = re.findall(r"^(?:[-*]|\d+\.) +\S", page.block("rubric"), re.M)
    if len(points) < 3:
        yield f"the rubric must be a list of at least three points, found {len(points)}"


def _errors(page: Page, book: Book) -> Iterator[str]:
    utterances = re.findall(r"^\*\*[\"“].+?[\"”]\*\*", page.block("errors"), re.M | re.S)
    if not 1 <= len(utterances) <= 4:
        yield f'there must be one to four errors, each led by **"an utterance"**, found {len(utterances)}'


def _followups(page: Page, book: Book) -> Iterator[str]:
    dropdowns = _DROPDOWN.findall(page.block("followups"))
    if len(dropdowns) < 3:
        yield f"there must be at least three follow-ups in dropdowns, found {len(dropdowns)}"
    for _, title, body in dropdowns:
        if not title.strip() or not body.strip():
            yield f"the follow-up {title!r} lacks its question or its answer"


def _exercise(page: Page, book: Book) -> Iterator[str]:
    entry = page.entry
    if not entry.tasks:
        yield "the header names no task"
    written = [(kind, name) for kind, name in _DIRECTIVE.findall(page.prose)]
    if written != [(kind, name) for name in entry.tasks for kind in ("task", "solution")]:
        yield f"each of {list(entry.tasks)} needs its {{task}} and then its {{solution}}, found {written}"
    for name in entry.tasks:
        if name not in book.tasks:
            yield f"no task {name!r} in lmprep.practice"
            continue
        task = book.tasks[name]
        if task.entry != entry.slug:
            yield f"task {name!r} belongs to {task.entry!r}"
        wanted = f'{task.starter}\n\ncheck("{name}", {task.function})'
        cells = [code.replace("\n\n\ncheck(", "\n\ncheck(") for code in entry.code]  # as ruff formats it
        if cells.count(wanted) != 1:
            yield f"there must be one cell with just the starter of {name!r} and its check:\n{wanted}"
    for code in entry.code:
        called = re.findall(r'^check\("(\w+)"', code, re.M)
        if set(called) - set(entry.tasks):
            yield f"check of {called}, which the header does not name"


def _references(page: Page, book: Book) -> Iterator[str]:
    if len(_cited(page.block("references"))) < 2:
        yield "the references must cite at least two sources"
    for key in sorted(_cited(page.prose) - book.citations):
        yield f"{key!r} is not in book/references.bib"


def _links(page: Page, book: Book) -> Iterator[str]:
    """Only the whole book resolves links between pages: a page rendered alone does not show a dead one."""
    for target in _LINK.findall(_plain(page.prose)):
        if not (target.startswith(("https://", "#")) or (page.entry.path.parent / f"{target}.py").is_file()):
            yield f"the link {target!r} leads to no entry: write slug or ../part/slug, without extension"


def _needs(page: Page, book: Book) -> Iterator[str]:
    for slug in page.entry.needs:
        if slug not in book.slugs or slug == page.entry.slug:
            yield f"{slug!r} is no other entry"


# --- evidence ----------------------------------------------------------------------------------------------


def _claims(page: Page, book: Book) -> Iterator[str]:
    if len(page.calls("claim")) < 2:
        yield f"there must be at least two claims, found {len(page.calls('claim'))}"
    top_level = [call for tree in page.trees for call in _always_run(tree.body)]
    for call in page.evidence:
        if call not in top_level:
            yield f"line {ast.unparse(call)[:60]}… must stand by itself, in no function, loop or condition"
        measured = _argument(call, 2, "value" if _called(call) == "claim" else "ours")
        if measured is None or not any(isinstance(node, ast.Name) for node in ast.walk(measured)):
            yield f"{ast.unparse(call)[:60]}… measures nothing"


def _thesis(page: Page, book: Book) -> Iterator[str]:
    if len(page.thesis_keys) != 1:
        yield f"exactly one claim must have thesis=True, found {page.thesis_keys}"
    for call in page.calls("claim"):
        for option in call.keywords:
            if option.arg == "thesis" and not isinstance(option.value, ast.Constant):
                yield f"thesis must be the literal True, got {ast.unparse(option.value)}"


def _keys(page: Page, book: Book) -> Iterator[str]:
    keys = [_constant(_argument(call, 0, "key")) for call in page.evidence]
    for key, call in zip(keys, page.evidence, strict=True):
        if not isinstance(key, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", key):
            yield f"the key of {ast.unparse(call)[:60]}… must be a literal in lower case with underscores"
    for key, count in Counter(keys).items():
        if key is not None and count > 1:
            yield f"{count} claims or comparisons have the key {key!r}"


def _agreement(page: Page, book: Book) -> Iterator[str]:
    comparisons = page.calls("agrees")
    if not comparisons:
        yield "nothing is compared with a library that is not ours: no agrees(...)"
    for call in comparisons:
        reference = _constant(_argument(call, 1, "reference"))
        ours, theirs = _argument(call, 2, "ours"), _argument(call, 3, "theirs")
        if not isinstance(reference, str):
            yield f"the reference of {ast.unparse(call)[:60]}… must be a literal"
        elif "lmprep" in reference or set(re.findall(r"[\w.]+", reference)) & page.library_names:
            yield f"the reference {reference!r} is our own code"
        if ours is not None and theirs is not None:
            if ast.dump(ours) == ast.dump(theirs):
                yield f"{ast.unparse(ours)} is compared with itself"
            if isinstance(theirs, ast.Call) and ast.unparse(theirs.func) in page.library_names:
                yield f"{ast.unparse(theirs)[:60]} is our own code, not a reference"


def _sabotage(page: Page, book: Book) -> Iterator[str]:
    path = Path("tests") / page.entry.part / f"sabotage_{page.entry.slug}.py"
    if not (book.root / path).exists():
        yield f"there is no {path}"
        return
    source = (book.root / path).read_text(encoding="utf8")
    tree = ast.parse(source)
    if "TODO" in source:
        yield f"{path} is not written yet"
    if not ast.get_docstring(tree):
        yield f"{path} needs a docstring that says what is broken"
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "THESIS"
    ]
    if [_constant(value) for value in values] != page.thesis_keys:
        yield f"{path} must say THESIS = {page.thesis_keys}, says {[ast.unparse(value) for value in values]}"
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "sabotage" not in functions or [a.arg for a in functions["sabotage"].args.args] != ["patch"]:
        yield f"{path} must define sabotage(patch)"


# --- code --------------------------------------------------------------------------------------------------


def _opening(page: Page, book: Book) -> Iterator[str]:
    first = _parsed(page.entry.code[0]) if page.entry.code else None
    if first is None or not any(
        _called(node) == "setup" for node in ast.walk(first) if isinstance(node, ast.Call)
    ):
        yield "the first code cell must call setup()"


def _knob(page: Page, book: Book) -> Iterator[str]:
    knobs = [code for code in page.entry.code if code.startswith("# Try:")]
    if len(knobs) != 1:
        yield f"exactly one code cell must begin with '# Try:', found {len(knobs)}"


def _seeds(page: Page, book: Book) -> Iterator[str]:
    literals = {
        target.id
        for node in page.nodes
        if isinstance(node, ast.Assign) and _is_number(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    ours = {"seed", "rng", "generator"} & page.library_names
    for node in page.nodes:
        if not isinstance(node, ast.Call):
            continue
        given = [option.value for option in node.keywords if option.arg in _SEED_OPTIONS]
        if _called(node) in _SEEDED and not (isinstance(node.func, ast.Name) and node.func.id in ours):
            given += node.args
        for value in given:
            if _is_number(value) or (isinstance(value, ast.Name) and value.id in literals):
                yield f"{ast.unparse(node)[:60]} has a literal seed: use seed(k), rng(k) or generator(k)"


def _network(page: Page, book: Book) -> Iterator[str]:
    for module in sorted(_imported(page) & _NETWORK_MODULES):
        yield f"imports {module}"
    for node in page.nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"https?://", node.value)
        ):
            yield f"an address in a code cell: {node.value[:60]!r}"
        if not isinstance(node, ast.Call):
            continue
        name, first = _called(node), _constant(_argument(node, 0, "path"))
        if _NETWORK_CALLS.fullmatch(name):
            yield f"{name}(...) fetches something"
        if name == "from_pretrained" and isinstance(first, str):
            yield f"from_pretrained({first!r}) asks the hub: pass the path of an installed package"
        if name == "load_dataset" and isinstance(first, str) and first not in _LOCAL_FORMATS:
            yield f"load_dataset({first!r}) asks the hub"
        if any(
            option.arg in ("pretrained", "download") and _constant(option.value) for option in node.keywords
        ):
            yield f"{ast.unparse(node)[:60]} downloads something"


def _clock(page: Page, book: Book) -> Iterator[str]:
    for module in sorted(_imported(page) & _CLOCKS):
        yield f"imports {module}: count operations, bytes or steps instead of seconds"


def _alt(page: Page, book: Book) -> Iterator[str]:
    for cell in page.entry.cells:
        tree = _parsed(cell.source) if cell.kind == "code" else None
        calls = [node for node in _outside_functions(tree) if isinstance(node, ast.Call)] if tree else []
        if any(_called(call) in _FIGURES for call in calls) and not _alt_text(cell.metadata):
            yield f"a figure without alt text: {_first_line(cell.source)}"
        for call in calls:
            named = {option.arg for option in call.keywords if option.arg and _constant(option.value) != ""}
            if _called(call).endswith("_explorer") and "alt" not in named:
                yield f"{_called(call)}(...) needs alt="


RULES: tuple[Callable[[Page, Book], Iterator[str]], ...] = (
    _header, _place, _unwritten, _title, _blocks, _tags, _headings, _length, _round_trip, _python,
    _answer, _two_minutes, _rubric, _errors, _followups, _exercise, _references, _links, _needs,
    _claims, _thesis, _keys, _agreement, _sabotage,
    _opening, _knob, _seeds, _network, _clock, _alt,
)  # fmt: skip


# --- as run ------------------------------------------------------------------------------------------------


def _budget(page: Page, notebook: nbformat.NotebookNode) -> Iterator[str]:
    excess = over_budget(page.entry, notebook.metadata["lmprep_run"])
    if excess:
        yield excess


def _recorded(page: Page, notebook: nbformat.NotebookNode) -> Iterator[str]:
    written = [_constant(_argument(call, 0, "key")) for call in page.evidence]
    recorded = [record["key"] for record in records_of(notebook)]
    if recorded != written:
        yield f"the source has the evidence {written}, its last run recorded {recorded}"


def _shown(page: Page, notebook: nbformat.NotebookNode) -> Iterator[str]:
    """nbval compares nothing where nothing is stored."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            yield f"a cell that was not run: {_first_line(cell.source)}"
        tree = _parsed(cell.source)
        calls = _always_run(tree.body) if tree else []
        if any(_called(call) in _SHOWING for call in calls) and not cell.outputs:
            yield f"a cell that shows something has no output: {_first_line(cell.source)}"


def _alt_as_run(page: Page, notebook: nbformat.NotebookNode) -> Iterator[str]:
    for cell in notebook.cells:
        mimes = {mime for output in cell.get("outputs", []) for mime in output.get("data", {})}
        if any(mime.startswith("image/") for mime in mimes) and not _alt_text(cell.metadata):
            yield f"a figure without alt text: {_first_line(cell.source)}"


def _measured_in_prose(page: Page, notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Numbers of three significant digits or more that are both in an output and in the text. What stands in
    a code cell as well is a setting, no measurement."""
    settings = {value for node in page.nodes if (value := _constant(node)) is not None and _is_number(node)}
    values = [record["value"] for record in records_of(notebook) if record["kind"] == "claim"]
    values += [_value(number) for number in _printed(notebook) if "." in number]
    prose = re.sub(
        r"\{[\w:]+\}`[^`]*`|`[^`]*`|\$\$.*?\$\$|\]\([^)]*\)|https?://\S+", " ", page.prose, flags=re.S
    )
    for found in _NUMBER.finditer(prose):
        number, digits = _value(found[0]), _significant(found[0])
        percent = re.match(r"\s?%|\s?percent", prose[found.end() :])
        scaled = [value * (100 if percent else 1) for value in values]
        if digits < 3 or number in settings:
            continue
        if any(value and float(f"{abs(value):.{digits - 1}e}") == number for value in scaled):
            around = " ".join(prose[max(0, found.start() - 30) : found.end() + 20].split())
            yield f"{found[0]} is measured, and may change: point at the output instead of '… {around} …'"


RULES_AS_RUN: tuple[Callable[[Page, nbformat.NotebookNode], Iterator[str]], ...] = (
    _budget, _shown, _recorded, _alt_as_run, _measured_in_prose,
)  # fmt: skip


# --- reading Markdown, Python and outputs ------------------------------------------------------------------


def words(markdown: str) -> int:
    """English words, without formulas, code, roles and the lines of directives."""
    return len(re.findall(r"[A-Za-z][A-Za-z'’-]+", _plain(markdown)))


def _plain(markdown: str) -> str:
    text = re.sub(r"\$\$.*?\$\$", " ", markdown, flags=re.S)
    return re.sub(r"\$[^$]*\$|`[^`]*`|^:{3,}.*$|\{[a-z]+\}", " ", text, flags=re.M)


def _cited(markdown: str) -> set[str]:
    return {key.strip() for keys in _CITED.findall(markdown) for key in keys.split(",")}


def _body(text: str) -> list[str]:
    return _HEADER.sub("", text).splitlines(keepends=True)


def _first_line(code: str) -> str:
    return repr(next(iter(code.strip().splitlines()), "")) + " …"


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except SyntaxError:
        return None


def _called(call: ast.Call) -> str:
    """The last name of what is called: `subplots` for `plt.subplots()`."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    named = [option.value for option in call.keywords if option.arg == name]
    return named[0] if named else call.args[position] if len(call.args) > position else None


def _constant(node: ast.AST | None) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _is_number(node: ast.AST) -> bool:
    """Whether an expression is made of number literals alone."""
    leaves = [leaf for leaf in ast.walk(node) if isinstance(leaf, ast.Constant | ast.Name | ast.Call)]
    return bool(leaves) and all(isinstance(_constant(leaf), int | float) for leaf in leaves)


def _is_thesis(call: ast.Call) -> bool:
    return any(option.arg == "thesis" and _constant(option.value) is True for option in call.keywords)


def _always_run(body: list[ast.stmt]) -> Iterator[ast.Call]:
    """Calls that are statements of their own and run once, whatever happens."""
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield statement.value
        elif isinstance(statement, ast.With):
            yield from _always_run(statement.body)


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield from _outside_functions(child)


def _imported(page: Page) -> set[str]:
    """Top-level modules that the page imports."""
    names = [alias.name for node in page.nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in page.nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def _alt_text(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("mystnb", {}).get("image", {}).get("alt", "")).strip()


def _printed(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Numbers in printed text, those of evidence and of shown source code aside."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        text = output.get("text", "") or (
            "" if {EVIDENCE_MIME, "text/markdown"} & set(data) else data.get("text/plain", "")
        )
        yield from _NUMBER.findall(text)


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _significant(number: str) -> int:
    """How many significant digits are written: 3 for 0.125, 1.20 and 125, 2 for 1,200 and 0.012."""
    digits = number.replace(",", "")
    digits = digits.replace(".", "") if "." in digits else digits.rstrip("0")
    return len(digits.lstrip("0"))
