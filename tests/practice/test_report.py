"""What readers see: complete, deterministic, escaped; one failure in full, and hints one at a time."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from typing import Any

import pytest

import lmprep.practice as practice
from lmprep.practice import TASKS, Report, Result, check, grade

PASSED = Result("Is round", True, 0.25)
FAILED = Result("Is <red>", False, 1.5, "x = 1\ny = 2", "a < b", "b & c", "a sign")
OTHER = Result("Is small", False, 0.5, "x = 3", "1", "2", "a unit")


@pytest.fixture(autouse=True)
def first_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(practice, "_failed", practice.Counter())


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grade here: the worker has tests of its own."""
    import lmprep.practice.isolation as isolation
    from lmprep.practice.grading import run_checks

    def graded(task: Any, candidate: Any, seed: int, time_limit: float) -> Report:
        return Report(task.name, len(task.checks), tuple(run_checks(task, candidate, seed)))

    monkeypatch.setattr(isolation, "grade_apart", graded)


def no_mask(q: Any, k: Any, v: Any) -> Any:
    w = (q @ k.mT / q.size(-1) ** 0.5).softmax(-1)
    return w @ v, w


# The text.


def test_a_pass_is_one_line_a_check() -> None:
    report = Report("ball", 1, (PASSED,))
    assert report.passed
    assert str(report) == "✓ ball: all 1 checks pass\n  ✓ Is round"


def test_a_failure_is_told_in_full_and_once() -> None:
    report = Report("ball", 4, (PASSED, FAILED, OTHER), hint=(2, "Think."), printed="one\ntwo\n")
    assert not report.passed
    assert str(report) == textwrap.dedent("""\
        ✗ ball: 1 of 4 checks pass, 1 did not run. Mend the first: the others may follow from it
          ✓ Is round
          ✗ Is <red>
              case:     x = 1
                        y = 2
              expected: a < b
              got:      b & c
              usually:  a sign
          ✗ Is small
        Printed in that case:
          one
          two
        Hint 2 of 3: Think.""")


def test_what_is_empty_is_left_out() -> None:
    report = Report(
        "ball", 1, (Result("Ends", False, 10.0, expected="an answer", got="none", cause="a loop"),)
    )
    assert "case:" not in str(report) and "<dt>case</dt>" not in report._repr_html_()
    assert "Mend the first" not in str(report)


def test_an_answer_that_cannot_be_graded() -> None:
    report = Report("ball", 0, (Result("The answer is a function", False, 0.0, got="an int"),))
    assert not report.passed and report.headline == "✗ ball: not graded"


def test_not_tried_says_how_to_begin() -> None:
    report = Report("ball", 3, tried=False)
    assert not report.passed
    assert str(report) == "○ ball: not tried yet. Write the body, run it again: 3 checks wait."


def test_nothing_run_is_no_pass() -> None:
    assert not Report("ball", 0).passed
    assert not Report("ball", 2, (PASSED,)).passed
    assert not Report("ball", 1, (PASSED,), tried=False).passed


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_seconds_are_kept_and_never_shown(factor: float) -> None:
    results = tuple(replace(result, seconds=result.seconds * factor) for result in (PASSED, FAILED, OTHER))
    report, usual = Report("ball", 3, results), Report("ball", 3, (PASSED, FAILED, OTHER))
    assert str(report) == str(usual)
    assert report._repr_html_() == usual._repr_html_()


def test_html_escapes_and_opens_the_first_failure_only() -> None:
    html = Report("ball", 3, (PASSED, FAILED, OTHER), hint=(1, "a < b"), printed="<script>")._repr_html_()
    assert "&lt;red&gt;" in html and "a &lt; b" in html and "b &amp; c" in html and "&lt;script&gt;" in html
    assert "<red>" not in html and "<script>" not in html
    assert html.count("<details open>") == 1 and html.count("<details>") == 2  # the other failure, the hint
    assert html.index("<details open>") < html.index("Is small")
    assert "x = 1<br>y = 2" in html


def test_html_closes_what_it_opens() -> None:
    from html.parser import HTMLParser

    class Balanced(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attributes: Any) -> None:
            if tag != "br":
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    parser = Balanced()
    parser.feed(Report("ball", 3, (PASSED, FAILED, OTHER), hint=(1, "Think."), printed="x")._repr_html_())
    assert parser.open == []


def test_rich_shows_the_same_text() -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    report = Report("ball", 3, (PASSED, FAILED, OTHER), hint=(1, "Think."))
    with console.file:
        console.print(report)
    assert console.export_text().rstrip() == str(report)


# check().


def test_check_shows_and_returns_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    report = check("causal_attention", TASKS["causal_attention"].reference)
    assert report.passed
    assert capsys.readouterr().out == f"{report}\n"


def test_check_offers_one_hint_after_the_other() -> None:
    hints = TASKS["causal_attention"].hints
    offered = [check("causal_attention", no_mask).hint for _ in range(4)]
    assert offered == [(1, hints[0]), (2, hints[1]), (3, hints[2]), (3, hints[2])]
    assert check("multi_head_attention", no_mask).hint == (1, TASKS["multi_head_attention"].hints[0])
    assert check("causal_attention", TASKS["causal_attention"].reference).hint is None


def test_grade_offers_no_hint() -> None:
    assert grade("causal_attention", no_mask).hint is None


def test_no_hint_for_what_was_not_tried(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    exec(TASKS["causal_attention"].starter, namespace)
    assert check("causal_attention", namespace["causal_attention"]).hint is None
    assert check("causal_attention", no_mask).hint == (1, TASKS["causal_attention"].hints[0])


class Hostile:
    """Raises whatever is done with it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hands off")


@pytest.mark.parametrize("name", ["causal_atention", "", None, 3, ["causal_attention"]])
def test_check_of_an_unknown_task_raises_nothing(name: Any, capsys: pytest.CaptureFixture[str]) -> None:
    report = check(name, no_mask)
    assert not report.passed and report.hint is None
    assert "not graded" in capsys.readouterr().out


def test_check_says_which_task_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    check("causal_atention", no_mask)
    assert "no task is called 'causal_atention'; is it causal_attention" in capsys.readouterr().out


def test_check_of_a_hostile_answer_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert not check("causal_attention", Hostile()).passed
    assert "hands off" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must be"),
        ({"time_limit": 0.0}, "time_limit must be"),
        ({"time_limit": float("inf")}, "time_limit must be"),
        ({"time_limit": float("nan")}, "time_limit must be"),
    ],
)
def test_grade_refuses_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grade("causal_attention", no_mask, **arguments)


def test_grade_refuses_an_unknown_task() -> None:
    with pytest.raises(KeyError, match="no task is called 'no_such'"):
        grade("no_such", no_mask)


# In a notebook.

NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

shell = InteractiveShell.instance()
shell.run_cell("import torch\\nfrom lmprep.practice import TASKS, check")
TASKS = shell.user_ns["TASKS"]
loaded = set(sys.modules)
starter = TASKS["causal_attention"].starter + '\\n\\ncheck("causal_attention", causal_attention)'
shown = []
for cell in (starter, starter, "report = check('causal_attention', causal_attention)", "report", "report;"):
    with capture_output() as captured:
        shell.run_cell(cell, store_history=True).raise_error()
    shown.append([output.data for output in captured.outputs])
assert [len(outputs) for outputs in shown] == [1, 1, 1, 1, 0], shown
assert shown[0] == shown[1] == shown[2] == shown[3]
assert set(shown[0][0]) == {"text/plain", "text/html"}
assert shown[0][0]["text/plain"].startswith("○ causal_attention: not tried yet.")
new = {name for name in set(sys.modules) - loaded if name.split(".")[0] in ("torch", "dill", "subprocess")}
assert not new, new
assert "lmprep.practice.isolation" not in sys.modules and "lmprep.practice.cheats" not in sys.modules
"""


def test_a_starter_in_a_notebook_is_shown_once_always_alike_and_costs_nothing() -> None:
    run = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
