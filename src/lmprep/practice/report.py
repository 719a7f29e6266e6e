"""What a grading found, as text, as HTML in a notebook and as a rich renderable in a terminal.

Nothing shown depends on the clock: a page built twice is the same twice.
"""

import sys
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

_CSS = "lmprep-report"
# JupyterLab takes the triangle and the pointer from summaries; without them nothing says that they open.
_SUMMARY = "<summary style='cursor: pointer; list-style: disclosure-closed inside'>"


@dataclass(frozen=True)
class Result:
    """One check's outcome; the last four texts are empty where it passed."""

    property: str
    passed: bool
    seconds: float
    case: str = ""
    expected: str = ""
    got: str = ""
    cause: str = ""

    def details(self) -> dict[str, str]:
        """Label → text, without what is empty."""
        texts = {"case": self.case, "expected": self.expected, "got": self.got, "usually": self.cause}
        return {label: text for label, text in texts.items() if text}


@dataclass(frozen=True)
class Report:
    """A graded candidate.

    Args:
        task: the task's name.
        checks: how many checks the task has; 0 where there was nothing to grade.
        results: of the checks that ran, in their order.
        tried: False where the candidate is still the starter.
        hint: number and text of the hint on offer, or None.
        printed: the beginning of what the candidate printed in the first failing case.
        cell: execution count of the notebook cell that has shown the report already.
    """

    task: str
    checks: int
    results: tuple[Result, ...] = ()
    tried: bool = True
    hint: tuple[int, str] | None = None
    printed: str = ""
    cell: int | None = None

    @property
    def passed(self) -> bool:
        """Whether every check ran and passed."""
        return self.tried and 0 < self.checks == len(self.results) and all(r.passed for r in self.results)

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.passed)

    @property
    def headline(self) -> str:
        if not self.tried:
            return f"○ {self.task}: not tried yet. Write the body, run it again: {self.checks} checks wait."
        passed = len(self.results) - len(self.failures)
        if self.passed:
            return f"✓ {self.task}: all {self.checks} checks pass"
        if not self.checks:
            return f"✗ {self.task}: not graded"
        missing = self.checks - len(self.results)
        not_run = f", {missing} did not run" if missing > 0 else ""
        more = ". Mend the first: the others may follow from it" if len(self.failures) > 1 else ""
        return f"✗ {self.task}: {passed} of {self.checks} checks pass{not_run}{more}"

    def __str__(self) -> str:
        lines = [self.headline]
        for result in self.results:
            lines.append(f"  {'✓' if result.passed else '✗'} {result.property}")
            if self.failures and result is self.failures[0]:  # one thing at a time: the first failure in full
                for label, text in result.details().items():
                    lines.append(f"      {label + ':':<10}" + text.replace("\n", "\n" + 16 * " "))
        if self.printed:
            lines += ["Printed in that case:", *(f"  {line}" for line in self.printed.splitlines())]
        if self.hint:
            lines.append(f"Hint {self.hint[0]} of 3: {self.hint[1]}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{escape(self.headline)}</strong></p>"]
        if self.results:
            parts.append(f"<ul>{''.join(map(self._item, self.results))}</ul>")
        if self.printed:
            parts.append(f"<p>Printed in that case:</p><pre>{escape(self.printed)}</pre>")
        if self.hint:
            number, text = self.hint
            parts.append(f"<details>{_SUMMARY}Hint {number} of 3</summary><p>{escape(text)}</p></details>")
        return f'<div class="{_CSS}">{"".join(parts)}</div>'

    def _item(self, result: Result) -> str:
        title = f"{'✓' if result.passed else '✗'} {escape(result.property)}"
        if result.passed:
            return f"<li>{title}</li>"
        rows = "".join(f"<dt>{label}</dt><dd>{_html(text)}</dd>" for label, text in result.details().items())
        is_open = " open" if result is self.failures[0] else ""
        return f"<li><details{is_open}>{_SUMMARY}{title}</summary><dl>{rows}</dl></details></li>"

    def __rich__(self) -> "RenderableType":
        from rich.text import Text

        text = Text(str(self))
        text.highlight_regex(r"(?m)^ *✓.*$", "green")
        text.highlight_regex(r"(?m)^ *✗.*$", "bold red")
        text.highlight_regex(r"(?m)^ +(case|expected|got|usually):", "cyan")
        return text

    def _ipython_display_(self) -> None:
        """Shown as a cell's value, unless this very cell has shown it before."""
        if self.cell is None or self.cell != execution_count():
            self.show()

    def show(self) -> None:
        """Display in a notebook, print elsewhere."""
        if execution_count() is None:
            print(self)
            return
        from IPython.display import display

        display({"text/plain": str(self), "text/html": self._repr_html_()}, raw=True)


def _html(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def execution_count() -> int | None:
    """Number of the notebook cell that runs, None outside IPython."""
    loaded: Any = sys.modules.get("IPython")  # where it was never imported, nothing runs inside it
    shell = loaded and loaded.get_ipython()
    return int(shell.execution_count) if shell else None
