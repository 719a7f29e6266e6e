"""`setup` makes a process quiet and deterministic; seeds shift together; `show` shows what runs."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from lmprep import evidence, notebook
from lmprep.notebook import generator, rng, seed, show

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh Python, with warnings as errors and without the flags that tests run under."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in THREADS and not name.startswith(("LMPREP_", "HF_", "TRANSFORMERS_", "CUBLAS_"))
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def output(code: str, **environment: str) -> str:
    done = run(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


# --- setup -------------------------------------------------------------------------------------------------


def test_setup_leaves_one_thread_no_network_and_no_chance() -> None:
    # numpy's BLAS is loaded with many threads first: setup must limit it all the same.
    code = """
        import numpy as np
        from lmprep.notebook import setup
        device = setup()
        import os, random, torch, matplotlib, threadpoolctl
        assert isinstance(device, torch.device)
        assert torch.get_num_threads() == 1
        pools = threadpoolctl.threadpool_info()
        assert any(pool["user_api"] == "blas" for pool in pools)
        assert all(pool["num_threads"] == 1 for pool in pools), pools
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
        assert os.environ["HF_DATASETS_OFFLINE"] == os.environ["OMP_NUM_THREADS"] == "1"
        assert matplotlib.rcParams["figure.constrained_layout.use"]
        draws = [random.random(), np.random.rand(), torch.rand(1).item()]
        setup()  # again: the streams start anew
        assert draws == [random.random(), np.random.rand(), torch.rand(1).item()]
        print(device.type, *draws)
    """
    threads = dict.fromkeys(THREADS, "2")
    first = output(code, LMPREP_DEVICE="cpu", PYTHONHASHSEED="1", **threads)
    assert first == output(code, LMPREP_DEVICE="cpu", PYTHONHASHSEED="2", **threads)
    other = output(code, LMPREP_DEVICE="cpu", LMPREP_SEED="1", **threads)
    assert first.split()[0] == other.split()[0] == "cpu"
    assert all(a != b for a, b in zip(first.split()[1:], other.split()[1:], strict=True))


def test_after_setup_the_hub_is_refused_without_a_request() -> None:
    done = run(
        """
        from lmprep.notebook import setup
        setup()
        import huggingface_hub
        huggingface_hub.hf_hub_download("gpt2", "config.json")
        """,
        LMPREP_DEVICE="cpu",
        HF_HUB_CACHE="/nonexistent",
    )
    assert done.returncode != 0
    assert "HF_HUB_OFFLINE" in done.stderr or "outgoing traffic has been disabled" in done.stderr


def test_importing_notebook_and_evidence_loads_no_torch() -> None:
    code = "import sys, lmprep.notebook, lmprep.evidence, lmprep.entries; print('torch' in sys.modules)"
    assert output(code).strip() == "False"


@pytest.mark.parametrize(
    ("wanted", "has_cuda", "name"),
    [
        (None, False, "cpu"),
        (None, True, "cuda"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_the_device_is_the_one_asked_for(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, has_cuda: bool, name: str
) -> None:
    monkeypatch.delenv("LMPREP_DEVICE", raising=False)
    if wanted is not None:
        monkeypatch.setenv("LMPREP_DEVICE", wanted)
    assert notebook._device_name(has_cuda) == name


@pytest.mark.parametrize(("wanted", "has_cuda"), [("cuda", False), ("gpu", True), ("", True), ("CPU", False)])
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, wanted: str, has_cuda: bool
) -> None:
    monkeypatch.setenv("LMPREP_DEVICE", wanted)
    with pytest.raises(ValueError, match="LMPREP_DEVICE"):
        notebook._device_name(has_cuda)


# --- seeds -------------------------------------------------------------------------------------------------


def test_every_run_and_stream_has_a_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = set()
    for run_number in range(6):
        monkeypatch.setenv("LMPREP_SEED", str(run_number))
        seeds |= {seed(k) for k in range(0, 10_000, 7)} | {seed(9_999)}
    assert len(seeds) == 6 * (len(range(0, 10_000, 7)) + 1)


def test_seeds_fit_where_others_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMPREP_SEED", "1000")
    assert isinstance(seed(9_999), int)
    assert 0 <= seed(9_999) < 2**32  # numpy's and scikit-learn's range


def test_unset_means_run_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMPREP_SEED", raising=False)
    unset = seed(3)
    monkeypatch.setenv("LMPREP_SEED", "0")
    assert seed(3) == unset


@pytest.mark.parametrize("k", [-1, 10_000, 1.5, "1", None])
def test_a_stream_that_is_none_is_refused(k: object) -> None:
    with pytest.raises((TypeError, ValueError), match="k must be"):
        seed(k)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", ["", "one", "-1", "1.0", "²"])
def test_a_bad_run_number_is_refused(monkeypatch: pytest.MonkeyPatch, shift: str) -> None:
    monkeypatch.setenv("LMPREP_SEED", shift)
    with pytest.raises(ValueError, match="LMPREP_SEED"):
        seed(0)


@pytest.mark.parametrize(
    "draw", [lambda k: torch.rand(8, generator=generator(k)).tolist(), lambda k: rng(k).random(8).tolist()]
)
def test_streams_repeat_and_differ(monkeypatch: pytest.MonkeyPatch, draw: object) -> None:
    assert draw(1) == draw(1)  # type: ignore[operator]
    here = {tuple(draw(k)) for k in range(5)}  # type: ignore[operator]
    monkeypatch.setenv("LMPREP_SEED", "1")
    there = {tuple(draw(k)) for k in range(5)}  # type: ignore[operator]
    assert len(here) == len(there) == 5
    assert not here & there


def test_a_generator_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(2))
    assert torch.equal(before, torch.get_rng_state())
    assert generator(2).device.type == "cpu"


# --- show --------------------------------------------------------------------------------------------------


def shown(*objects: object) -> dict[str, str]:
    with capture_output() as captured:
        show(*objects)  # type: ignore[arg-type]
    [bundle] = captured.outputs
    return bundle.data


def test_show_displays_the_code_as_it_stands(shell: InteractiveShell) -> None:
    source = Path(evidence.__file__).read_text(encoding="utf8")
    data = shown(evidence._show, evidence.ClaimError)
    parts = data["text/plain"].split("\n\nclass ClaimError")
    assert parts[0].startswith("def _show(")
    assert parts[0] in source
    assert "class ClaimError" + parts[1] in source
    assert data["text/markdown"] == f"```python\n{data['text/plain']}\n```"


class Documented:
    """First line
    of two.

    Not shown.
    """

    def method(self) -> str:
        """A summary.

        Args:
            nothing at all.
        """
        return """kept

        whole"""


def test_show_cuts_docstrings_after_their_first_paragraph(shell: InteractiveShell) -> None:
    assert shown(Documented)["text/plain"] == textwrap.dedent(
        '''\
        class Documented:
            """First line
            of two."""

            def method(self) -> str:
                """A summary."""
                return """kept

                whole"""'''
    )


def test_show_dedents_methods(shell: InteractiveShell) -> None:
    assert shown(Path.exists)["text/plain"].startswith("def exists(")


def function_with_a_fence() -> str:
    """Return Markdown.

    ```
    inner
    ```
    """
    return "```"


def test_show_keeps_code_that_holds_fences_in_one_block(shell: InteractiveShell) -> None:
    markdown = shown(function_with_a_fence)["text/markdown"]
    fence = markdown[: len(markdown) - len(markdown.lstrip("`"))]
    assert len(fence) > 3
    assert markdown.endswith(f"\n{fence}")
    assert markdown.count(fence) == 2


def test_show_follows_a_patched_function(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "claim", function_with_a_fence)
    assert "Return Markdown" in shown(evidence.claim)["text/plain"]


def test_show_of_nothing_is_refused(shell: InteractiveShell) -> None:
    with pytest.raises(TypeError, match="show"):
        show()
