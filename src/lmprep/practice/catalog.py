"""Every task's name and where it lives. A task's module is imported when it is first asked for."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from lmprep.practice.task import Task

_LINES = Path(__file__).with_name("tasks.txt").read_text(encoding="utf8").splitlines()
_MODULES: dict[str, str] = dict(line.split() for line in _LINES if not line.startswith("#"))


class _Catalog(Mapping[str, Task]):
    """The tasks by name, in the table's order."""

    def __getitem__(self, name: str) -> Task:
        if name not in _MODULES:
            similar = get_close_matches(str(name), _MODULES, n=3, cutoff=0.4) or list(_MODULES)
            raise KeyError(f"no task is called {name!r}; is it {' or '.join(similar)}?")
        task: Task = import_module(f"lmprep.practice.{_MODULES[name]}").TASK
        return task

    def __contains__(self, name: object) -> bool:
        return name in _MODULES  # the inherited one would import the module

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


TASKS: Mapping[str, Task] = _Catalog()
