"""What every test runs under: one thread, no network, no window, reproducible examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ |= {
    "OMP_NUM_THREADS": "1",  # read when torch or a BLAS loads, so before any test module is imported
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "MPLBACKEND": "agg",
}

# Deadlines fail by chance on a busy machine; the same examples every time keep a red run red.
settings.register_profile("lmprep", deadline=None, derandomize=True, database=None)
settings.load_profile("lmprep")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]
