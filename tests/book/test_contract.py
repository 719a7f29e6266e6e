"""Every entry meets the contract, and each of its rules notices when it is broken."""

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from contract import RULES, Book, Page, faults, faults_as_run, notebooks, read_book, words
from pybtex.database.input.bibtex import Parser

from lmprep.entries import read_entries, read_entry
from lmprep.evidence import EVIDENCE_MIME
from lmprep.scaffold import new_entry
from lmprep_book.reader import executed

ROOT = Path(__file__).resolve().parents[2]
SOURCES = notebooks(ROOT)
of_each_entry = pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])


# --- this book ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book() -> Book:
    return read_book(ROOT)


@of_each_entry
def test_entry_meets_the_contract(path: Path, book: Book) -> None:
    if found := faults(path, book):
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.outputs
@of_each_entry
def test_executed_entry_meets_the_contract(path: Path) -> None:
    entry = read_entry(path)
    found = faults_as_run(entry, executed(entry, ROOT))
    assert not found, "\n" + "\n".join(found)


def test_the_bibliography_can_be_read() -> None:
    path = ROOT / "book/references.bib"
    written = [line for line in path.read_text(encoding="utf8").splitlines() if line.startswith("@")]
    assert len(Parser().parse_file(str(path)).entries) == len(written)  # a key that comes twice fails, too


def test_the_table_of_contents_names_every_notebook_once() -> None:
    named = [entry.path for entry in read_entries(ROOT)]
    assert sorted(named) == SOURCES


def test_entries_that_must_differ_do() -> None:
    entries = read_entries(ROOT)
    for values in (
        [entry.source for entry in entries if entry.source],
        [entry.short for entry in entries],
        [entry.question for entry in entries],
    ):
        assert [value for value, count in Counter(values).items() if count > 1] == []


def test_what_to_read_first_leads_in_no_circle() -> None:
    needs = {entry.slug: set(entry.needs) for entry in read_entries(ROOT)}
    while needs:
        ready = {slug for slug, wanted in needs.items() if not wanted & set(needs)}
        assert ready, f"these entries each want another to be read first: {sorted(needs)}"
        needs = {slug: wanted for slug, wanted in needs.items() if slug not in ready}


def test_every_sabotage_has_its_entry() -> None:
    sabotages = (ROOT / "tests").glob("*/sabotage_*.py")
    known = {(path.parent.name, path.stem) for path in SOURCES}
    assert [str(path) for path in sabotages if (path.parent.name, path.stem[9:]) not in known] == []


# --- the rules notice --------------------------------------------------------------------------------------


@pytest.fixture
def sample(sample_root: Path, sample_entry: Path, sample_tasks: dict[str, SimpleNamespace]) -> "Sample":
    return Sample(sample_root, sample_entry, sample_tasks)


class Sample:
    """The small book, which can be broken."""

    def __init__(self, root: Path, path: Path, tasks: dict[str, Any]) -> None:
        self.root, self.path, self.tasks = root, path, tasks
        self.sabotage = root / "tests/foundations/sabotage_softmax_temperature.py"

    def faults(self) -> list[str]:
        return faults(self.path, read_book(self.root, self.tasks))

    def replace(self, old: str, new: str, path: Path | None = None) -> None:
        path = path or self.path
        text = path.read_text(encoding="utf8")
        assert text.count(old) == 1, f"{text.count(old)} × {old!r}"
        path.write_text(text.replace(old, new), encoding="utf8")


EVIDENCE = "# %%\nmoved"  # the beginning of a code cell
ALT = 'mystnb={"image": {"alt": "Bars of the largest weights; the first is far higher."}}'

BROKEN: list[tuple[str, str, str]] = [
    # rule, what stands in the sample, what is put in its place
    ("header", "source: L16", "source: L31"),
    ("header", "short: Softmax temperature", "short: one two three four five six"),
    ("header", "short: Softmax temperature", "short: ''"),
    ("header", "short: Softmax temperature", "short: 7"),
    ("header", "question_zh: 为什么温度会改变分布？", "question_zh: Why?"),
    ("header", "level: 1", "level: 4"),
    ("header", "level: 1", "level: high"),
    ("header", "asked: 2", "asked: -1"),
    ("header", "#     asked: 2\n", ""),
    ("header", "#     asked: 2\n", "#     asked: 2\n#     minutes: 3\n"),
    ("unwritten", "- Senior: what", "- Senior: TODO what"),
    ("title", "leave alone?", "leave alone."),
    ("title", "# ## Dividing logits", "# # Dividing logits"),
    ("title", "# # What does", "# Hello\n#\n# # What does"),
    ("blocks", 'tags=["rubric"]', 'tags=["sheet"]'),
    ("blocks", "## Follow-ups", "## More questions"),
    ("blocks", "## Dividing logits widens their gaps", "## References"),
    ("blocks", "# %% [markdown]\n# The best", '# %% [markdown] tags=["references"]\n# The best'),
    ("blocks", "# A model with", "# ## Your turn\n#\n# A model with"),
    ("tags", 'tags=["rubric"]', 'tags=["rubric", "rubrik"]'),
    ("tags", EVIDENCE, '# %% tags=["nbval-ignore-output"]\nmoved'),
    ("tags", EVIDENCE, "# %%\n# NBVAL_IGNORE_OUTPUT\nmoved"),
    ("headings", "## Dividing logits widens their gaps", "## The experiment"),
    ("headings", "# A model with", "# ### Results\n#\n# A model with"),
    ("length", "A model with", "A model with " + "word " * 1800),
    ("length", EVIDENCE, "# %%\n" + "x = t\n" * 161 + "\n" + EVIDENCE),
    ("length", EVIDENCE, "# %%\nx = t\n\n" * 40 + EVIDENCE),
    ("round_trip", "# The best token", "#  # The best token\n\n\n"),
    ("python", EVIDENCE, "# %%\n# copy the weights\nx = t\n\n" + EVIDENCE),
    ("python", EVIDENCE, "# %%\n# !ls\n\n" + EVIDENCE),
    ("python", EVIDENCE, "# %%\nx = = 1\n\n" + EVIDENCE),
    ("answer", "# It changes how much we trust the model, not what the model knows.\n", ""),
    ("answer", "Temperature divides", "Temperature divides " + "it " * 30),
    ("answer", "divides the logits before", "divides $\\frac{z}{t}$ before"),
    ("two_minutes", "{dropdown} The two-minute answer", "{dropdown} More"),
    ("two_minutes", "For logits $z$ of shape $(V,)$ the weights are $\\mathrm{softmax}(z / t)$.", ""),
    ("rubric", "- Senior: what calibration has to do with it.", "And what calibration has to do with it."),
    ("errors", '**"Temperature makes the model more creative."**', "Some say so."),
    ("errors", '# **"Temp', '# **"One."** No.\n#\n' * 4 + '# **"Temp'),
    ("followups", ":::{dropdown} Does greedy", ":::{note} Does greedy"),
    ("followups", "# No. The order stays.\n", ""),
    ("followups", "{dropdown} Does greedy decoding care?", "{dropdown}"),
    ("exercise", "#     tasks:\n#     - stable_softmax\n", "#     tasks: []\n"),
    ("exercise", "#     - stable_softmax", "#     - stable_softmax\n#     - another"),
    ("exercise", "# ```{solution} stable_softmax\n# ```", "# Solve it."),
    ("exercise", 'check("stable_softmax"', '# done?\ncheck("stable_softmax"'),
    ("exercise", 'check("stable_softmax", stable_softmax)', 'check("stable_softmax", softmax)'),
    ("exercise", "    raise NotImplementedError", "    return softmax(z)"),
    ("exercise", EVIDENCE, '# %%\ncheck("another", softmax)\n\n' + EVIDENCE),
    ("references", "# - {cite:t}`hinton2015distilling`: temperature in distillation.\n", ""),
    ("references", "{cite:p}`guo2017calibration`", "{cite:p}`guo2017calibration, platt1999`"),
    ("links", "A model with", "A [small](softmax_temperature.md) model with"),
    ("links", "A model with", "A [small](../training/softmax_temperature) model with"),
    ("needs", "needs: []", "needs: [bahdanau_attention]"),
    ("needs", "needs: []", "needs: [softmax_temperature]"),
    ("claims", 'claim("order_stays", "tokens whose rank changes", moved.sum(), at_most=0)\n', ""),
    ("claims", 'claim("order_stays"', 'if t < 1:\n    claim("order_stays"'),
    ("claims", 'claim("order_stays"', 'for _ in range(2):\n    claim("order_stays"'),
    ("claims", 'claim("order_stays"', 'holds = claim("order_stays"'),
    ("claims", "weights.max(), at_least", "0.5, at_least"),
    ("claims", '"scipy.special.softmax", weights', '"scipy.special.softmax", [0.0]'),
    ("thesis", ", thesis=True", ""),
    ("thesis", "at_most=0)", "at_most=0, thesis=True)"),
    ("thesis", "thesis=True", "thesis=bool(t)"),
    ("keys", '"order_stays"', '"best_gains"'),
    ("keys", '"order_stays"', '"order" + "_stays"'),
    ("keys", '"order_stays"', '"Order stays"'),
    ("keys", 'agrees("softmax"', 'agrees("order_stays"'),
    ("agreement", 'agrees("softmax"', 'compare("softmax"'),
    ("agreement", '"scipy.special.softmax", weights', '"rng", weights'),
    ("agreement", '"scipy.special.softmax", weights', '"lmprep.decoding.softmax", weights'),
    ("agreement", '"scipy.special.softmax", weights', "str(t), weights"),
    ("agreement", "weights, scipy.special.softmax(logits / t), atol", "weights, weights, atol"),
    ("agreement", "weights, scipy.special.softmax(logits / t), atol", "weights, rng(1), atol"),
    ("opening", "device = setup()", "device = None"),
    ("knob", "# Try: t = 5.0.", "# t = 5.0."),
    ("knob", EVIDENCE, "# %%\n# Try: this\nmoved"),
    ("seeds", "rng(1)", "np.random.default_rng(1)"),
    ("seeds", "rng(1)", "np.random.default_rng(seed=1)"),
    ("seeds", "logits = rng(1)", "torch.manual_seed(0)\nlogits = rng(1)"),
    ("seeds", "logits = rng(1)", "np.random.seed(2 * 3)\nlogits = rng(1)"),
    ("seeds", "logits = rng(1)", "SEED = 3\nrandom.seed(SEED)\nlogits = rng(1)"),
    ("seeds", "logits = rng(1)", "model = Model(random_state=0)\nlogits = rng(1)"),
    ("network", "import numpy as np", "import numpy as np\nimport requests"),
    ("network", "import numpy as np", "import numpy as np\nfrom urllib.request import Request"),
    ("network", "t = 0.1", 't = 0.1\nsource = "https://example.org"'),
    ("network", "t = 0.1", 't = 0.1\nmodel = AutoModel.from_pretrained("gpt2")'),
    ("network", "t = 0.1", 't = 0.1\ndata = load_dataset("imdb")'),
    ("network", "t = 0.1", "t = 0.1\ndata = fetch_20newsgroups()"),
    ("network", "t = 0.1", "t = 0.1\nnltk.download(t)"),
    ("network", "t = 0.1", "t = 0.1\nmodel = resnet(pretrained=True)"),
    ("clock", "import numpy as np", "import time\n\nimport numpy as np"),
    ("clock", "import numpy as np", "from timeit import timeit\n\nimport numpy as np"),
    ("alt", f"# %% {ALT}\n", "# %%\n"),
    ("alt", ALT, 'mystnb={"image": {"alt": " "}}'),
    ("alt", "t = 0.1", "t = 0.1\nattention_explorer(t)"),
    ("alt", "t = 0.1", 't = 0.1\nattention_explorer(t, alt="")'),
]


def test_the_sample_meets_the_contract(sample: "Sample") -> None:
    assert sample.faults() == []


@pytest.mark.parametrize(
    ("rule", "old", "new"), BROKEN, ids=[f"{rule}-{new[:30]!r}" for rule, _, new in BROKEN]
)
def test_a_rule_notices(sample: "Sample", rule: str, old: str, new: str) -> None:
    sample.replace(old, new)
    assert rule in {fault.split(":")[0] for fault in sample.faults()}


def broken_part(sample: "Sample") -> None:
    folder = sample.root / "notebooks" / "optimization"
    folder.mkdir()
    sample.path = sample.path.rename(folder / sample.path.name)


def broken_slug(sample: "Sample") -> None:
    sample.path = sample.path.rename(sample.path.with_name("Softmax-temperature.py"))


def shared_slug(sample: "Sample") -> None:
    twin = sample.root / "notebooks" / "training" / sample.path.name
    twin.parent.mkdir()
    twin.write_text(sample.path.read_text(encoding="utf8"), encoding="utf8")


SAID = '"""The logits are all equal: no token can gain."""'

BROKEN_AROUND: list[tuple[str, Callable[["Sample"], object]]] = [
    ("place", broken_part),
    ("place", broken_slug),
    ("place", shared_slug),
    ("exercise", lambda sample: sample.tasks.clear()),
    ("exercise", lambda sample: setattr(sample.tasks["stable_softmax"], "entry", "another")),
    ("exercise", lambda sample: setattr(sample.tasks["stable_softmax"], "starter", "def f(): ...")),
    ("sabotage", lambda sample: sample.sabotage.unlink()),
    ("sabotage", lambda sample: sample.replace('"best_gains"', '"order_stays"', sample.sabotage)),
    ("sabotage", lambda sample: sample.replace('"best_gains"', 'str("best_gains")', sample.sabotage)),
    ("sabotage", lambda sample: sample.replace(SAID, '"""TODO"""', sample.sabotage)),
    ("sabotage", lambda sample: sample.replace(SAID, "", sample.sabotage)),
    ("sabotage", lambda sample: sample.replace("sabotage(patch)", "sabotage()", sample.sabotage)),
    ("sabotage", lambda sample: sample.replace("sabotage(patch)", "broken(patch)", sample.sabotage)),
]


@pytest.mark.parametrize(("rule", "spoil"), BROKEN_AROUND)
def test_a_rule_notices_what_is_around_the_page(
    sample: "Sample", rule: str, spoil: Callable[["Sample"], None]
) -> None:
    spoil(sample)
    assert rule in {fault.split(":")[0] for fault in sample.faults()}


def test_every_rule_has_been_seen_to_fail() -> None:
    seen = {rule for rule, *_ in BROKEN + BROKEN_AROUND}
    assert seen == {rule.__name__.removeprefix("_") for rule in RULES}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rng(1)", "np.random.default_rng(seed(1))"),
        ("t = 0.1", "t = 0.1\nmodel = Model(random_state=seed(2))"),
        ("t = 0.1", "t = 0.1\nmodel = AutoModel.from_pretrained(get_model_path())"),
        ("t = 0.1", 't = 0.1\ndata = load_dataset("json", data_files=path)'),
        ("t = 0.1", "t = 0.1\ndef draw():\n    return plt.subplots()"),
        ("t = 0.1", 't = 0.1\nattention_explorer(t, alt="Each token looks back.")'),
        ("# A model with", "# ```python\n# # no title\n# ## no section\n# ```\n#\n# A model with"),
        ("A model with", "A [model](softmax_temperature) and [its](#heading) source `a[i](j)` with"),
        ("Ask: *does", "It takes a `Dense(1)`. Ask: *does"),
        (
            '**"Temperature makes the model more creative."**',
            "**“Temperature makes the model\n# more creative.”**",
        ),
        ("source: L16", "source: none"),
    ],
)
def test_what_is_allowed_is_no_fault(sample: "Sample", old: str, new: str) -> None:
    sample.replace("import rng, setup", "import rng, seed, setup")
    sample.replace(old, new)
    assert sample.faults() == []


def test_a_new_entry_from_the_template_is_not_let_in(sample: "Sample") -> None:
    notebook, _ = new_entry(sample.root, "training", "cross_entropy")
    assert faults(notebook, read_book(sample.root, sample.tasks)) != []
    numbers = {"asked: TODO": "asked: 1 #", "level: TODO": "level: 1 #"}
    text = notebook.read_text(encoding="utf8")
    for old, new in numbers.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    notebook.write_text(text, encoding="utf8")
    found = {fault.split(":")[0] for fault in faults(notebook, read_book(sample.root, sample.tasks))}
    # The form is right from the start; what is missing is what was to be written.
    assert {"unwritten", "answer", "exercise", "references", "claims", "keys", "sabotage", "header"} <= found
    assert (
        not {"title", "blocks", "round_trip", "python", "two_minutes", "rubric", "errors", "followups"}
        & found
    )


# --- as run ------------------------------------------------------------------------------------------------


def claimed(key: str, value: float) -> Any:
    record = {"kind": "claim", "key": key, "value": value, "thesis": False}
    return nbformat.v4.new_output(
        "display_data", {"text/plain": f"claim: {value:.4g}", EVIDENCE_MIME: record}
    )


def agreed(key: str) -> Any:
    return nbformat.v4.new_output("display_data", {EVIDENCE_MIME: {"kind": "agreement", "key": key}})


@pytest.fixture
def as_run(sample_entry: Path) -> nbformat.NotebookNode:
    """The sample's executed notebook, written by hand."""
    entry = read_entry(sample_entry)
    notebook = nbformat.v4.new_notebook(metadata={"lmprep_run": {"cpu_seconds": 3.0, "peak_mb": 400}})
    for cell in entry.cells:
        new = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(new(cell.source, metadata=cell.metadata))
        if cell.kind == "code":
            notebook.cells[-1].execution_count = len(notebook.cells)
    for start, outputs in {
        "def softmax(": [
            agreed("softmax"),
            nbformat.v4.new_output("stream", name="stdout", text="0.51234\n"),
        ],
        "print(": [nbformat.v4.new_output("stream", name="stdout", text="order kept: True\n")],
        "def stable": [nbformat.v4.new_output("display_data", {"text/plain": "not tried yet"})],
        "fig, ax": [
            nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "<Figure 700x340>"})
        ],
        "moved": [claimed("order_stays", 0.0), claimed("best_gains", 0.71828)],
    }.items():
        [cell] = [cell for cell in notebook.cells if cell.source.startswith(start)]
        cell.outputs = outputs
    return notebook


def found_as_run(path: Path, notebook: nbformat.NotebookNode) -> list[str]:
    return faults_as_run(read_entry(path), notebook)


def test_the_executed_sample_meets_the_contract(sample_entry: Path, as_run: nbformat.NotebookNode) -> None:
    assert found_as_run(sample_entry, as_run) == []


@pytest.mark.parametrize(("name", "value"), [("cpu_seconds", 15.1), ("peak_mb", 1501)])
def test_a_run_over_budget_is_noticed(
    sample_entry: Path, as_run: nbformat.NotebookNode, name: str, value: float
) -> None:
    as_run.metadata["lmprep_run"][name] = value
    [fault] = found_as_run(sample_entry, as_run)
    assert fault.startswith("budget: over budget: foundations/softmax_temperature")


@pytest.mark.parametrize(
    "change", [lambda outputs: outputs.pop(), lambda outputs: outputs.append(outputs[0])]
)
def test_evidence_that_was_not_recorded_once_is_noticed(
    sample_entry: Path, as_run: nbformat.NotebookNode, change: Callable[[list[Any]], object]
) -> None:
    [cell] = [cell for cell in as_run.cells if cell.source.startswith("moved")]
    change(cell.outputs)
    [fault] = found_as_run(sample_entry, as_run)
    assert fault.startswith("recorded: ")


def test_a_cell_without_its_output_is_noticed(sample_entry: Path, as_run: nbformat.NotebookNode) -> None:
    [cell] = [cell for cell in as_run.cells if cell.source.startswith("print(")]
    cell.outputs = []
    [fault] = found_as_run(sample_entry, as_run)
    assert fault.startswith("shown: a cell that shows something has no output")


def test_a_cell_that_was_not_run_is_noticed(sample_entry: Path, as_run: nbformat.NotebookNode) -> None:
    [cell] = [cell for cell in as_run.cells if cell.source.startswith("# Try:")]
    cell.execution_count = None
    [fault] = found_as_run(sample_entry, as_run)
    assert fault.startswith("shown: a cell that was not run")


def test_a_figure_that_the_source_does_not_show_needs_alt_text_too(
    sample_entry: Path, as_run: nbformat.NotebookNode
) -> None:
    [figure] = [cell for cell in as_run.cells if cell.source.startswith("fig, ax")]
    [other] = [cell for cell in as_run.cells if cell.source.startswith("print(")]
    other.outputs = figure.outputs
    [fault] = found_as_run(sample_entry, as_run)
    assert fault.startswith("alt_as_run: ")


@pytest.mark.parametrize(
    ("text", "is_fault"),
    [
        ("it holds 0.718 of it", True),
        ("it holds 0.7183 of it", True),
        ("it holds 71.8 % of it", True),
        ("it holds 71.8% of it", True),
        ("it holds $0.718$ of it", True),
        ("it prints 0.512 of it", True),
        ("it holds 0.72 of it", False),  # two digits say no more than a word
        ("it holds 0.719 of it", False),
        ("it holds 71.8 of it", False),
        ("it says `0.718`", False),
        ("see {cite:p}`guo0.718`", False),
        ("with 256 tokens", False),
    ],
)
def test_a_measured_number_in_the_text_is_noticed(
    sample: "Sample", as_run: nbformat.NotebookNode, text: str, is_fault: bool
) -> None:
    sample.replace("The best token now holds much of the mass.", text)
    assert [fault.split(":")[0] for fault in found_as_run(sample.path, as_run)] == [
        "measured_in_prose"
    ] * is_fault


def test_a_number_that_the_code_sets_is_no_measurement(
    sample: "Sample", as_run: nbformat.NotebookNode
) -> None:
    sample.replace("t = 0.1\n", "t = 0.718\n")
    sample.replace("The best token now holds much of the mass.", "it holds 0.718 of it")
    assert found_as_run(sample.path, as_run) == []


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "count"),
    [
        ("Two words", 2),
        ("It isn't code `x = y` here", 4),
        ("For $x$ and $$\ny\n$$ too", 3),
        (":::{dropdown} A title\nthe body\n:::", 2),
        ("see {cite:p}`key`", 2),
        ("", 0),
    ],
)
def test_words_are_counted_as_in_the_entry_report(markdown: str, count: int) -> None:
    assert words(markdown) == count


def test_evidence_is_found_in_order(sample_entry: Path) -> None:
    page = Page(read_entry(sample_entry), sample_entry.read_text(encoding="utf8"))
    assert [ast.literal_eval(call.args[0]) for call in page.evidence] == [
        "softmax",
        "order_stays",
        "best_gains",
    ]
    assert page.thesis_keys == ["best_gains"]
