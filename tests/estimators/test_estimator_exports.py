"""The package offers its names without loading the compiled kernels, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

import disac.estimators


def _told(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_every_name_is_there():
    for name in disac.estimators.__all__:
        assert getattr(disac.estimators, name) is not None
    assert set(disac.estimators.__all__) <= set(dir(disac.estimators))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"No disac.estimators attribute nothing"):
        _ = disac.estimators.nothing


@pytest.mark.parametrize("first", ["disac", "disac.estimators.range_profile", "disac.estimators.ambiguity"])
def test_profile_and_surface_are_functions_whatever_was_imported_before(first):
    code = f"import {first}; from disac.estimators import ambiguity_surface, range_profile"
    assert _told(f"{code}; print(callable(range_profile), callable(ambiguity_surface))") == "True True"


def test_import_is_light():
    heavy = ("numba", "scipy", "matplotlib", "cvxpy")
    code = f"import sys, disac.estimators; print([name for name in {heavy} if name in sys.modules])"
    assert _told(code) == "[]"
