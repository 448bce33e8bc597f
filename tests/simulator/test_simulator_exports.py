"""The package offers its names without loading the compiled kernels."""

from __future__ import annotations

import subprocess
import sys

import pytest

import disac.simulator


def test_every_name_is_there():
    for name in disac.simulator.__all__:
        assert getattr(disac.simulator, name) is not None
    assert set(disac.simulator.__all__) <= set(dir(disac.simulator))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"No disac.simulator attribute nothing"):
        _ = disac.simulator.nothing


def test_import_is_light():
    heavy = ("numba", "scipy", "matplotlib", "cvxpy")
    code = f"import sys, disac.simulator; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
