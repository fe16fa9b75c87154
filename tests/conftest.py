"""Fixtures shared by all tests."""

import os
import sys
from pathlib import Path

import pytest

# As analysis.run does: nbformat would compile a grammar of web addresses for two seconds, in every worker.
sys.modules.setdefault("rfc3987_syntax", None)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real cohorts: PEARL_SHARED_DATA, else ../shared/data beside the project; or skips."""
    folder = Path(os.environ.get("PEARL_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the real data are not here: set PEARL_SHARED_DATA, or put them at ../shared/data")
    return folder
