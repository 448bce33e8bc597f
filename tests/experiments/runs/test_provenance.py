"""Provenance: complete, plain, and the same for checkout and wheel."""

import json
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import disac
from disac.experiments.runs import provenance as module
from disac.experiments.runs.provenance import provenance


def test_everything_that_changes_a_number_is_there_and_json():
    found = json.loads(json.dumps(provenance("disac run link --seed 1")))
    assert found["rerun"] == "disac run link --seed 1"
    assert found["disac"] == disac.__version__
    assert found["distributions"]["numpy"] == np.__version__
    assert {"numpy", "scipy", "numba", "cvxpy", "clarabel", "threadpoolctl"} <= found["distributions"].keys()
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["machine"]["cpus"] >= 1
    assert any(pool["internal_api"] in ("openblas", "mkl", "blis") for pool in found["blas"])


def test_threads_are_those_of_the_moment():
    with threadpool_limits(1):
        assert {pool["num_threads"] for pool in provenance()["blas"]} == {1}


def test_checkout_names_commit_and_changes(tmp_path, monkeypatch):
    def git(*arguments):
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    package = tmp_path / "src" / "disac"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(disac, "__file__", str(package / "__init__.py"))
    assert provenance()["source"]["commit"] is None
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    source = provenance()["source"]
    assert len(source["commit"]) == 40
    assert source["dirty"] is False
    assert source["editable"] is True
    (package / "__init__.py").write_text("x = 1")
    assert provenance()["source"]["dirty"] is True


def test_wheel_inside_a_repository_does_not_name_that_repository(tmp_path, monkeypatch):
    place = tmp_path / "lib" / "site-packages" / "disac"
    place.mkdir(parents=True)
    subprocess.run(["git", "init"], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(disac, "__file__", str(place / "__init__.py"))
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(place.parent))
    source = provenance()["source"]
    assert (source["editable"], source["commit"], source["dirty"]) == (False, None, None)


def test_machine_without_git_is_no_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance()["source"]["commit"] is None


def test_heavy_packages_are_not_imported():
    code = "import sys; from disac.experiments.runs.provenance import provenance; provenance(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numba", "cvxpy", "scipy", "matplotlib", "pandas", "xarray"}
    assert not heavy & set(done.stdout.split())


def test_loaded_numba_is_described():
    pytest.importorskip("numba")
    assert provenance()["numba"]["threads"] >= 1


def test_required_packages_are_read_as_requirements_are_written(monkeypatch):
    written = [
        "numpy>=2.0",
        "scipy != 1.13.1",
        "threadpoolctl ~= 3.5",
        "rich[jupyter] (>=13)",
        'pydantic>=2.10; python_version >= "3.11"',
        'tomli>=2; python_version < "3.11"',
        'pytest>=8; extra == "test"',
        "ruff; 'lint' == extra",
    ]
    monkeypatch.setattr(module.importlib.metadata, "requires", lambda _: written)
    assert set(module._required()) == {"numpy", "scipy", "threadpoolctl", "rich", "pydantic"}
