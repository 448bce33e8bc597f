"""The package's shape: listed packages, import directions, light imports."""

import ast
import configparser
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import disac

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("simulator", "designs", "estimators", "experiments")
MAY_IMPORT = {
    "simulator": {"simulator"},
    "designs": {"designs", "simulator"},
    "estimators": {"estimators", "simulator"},
    "experiments": set(FOLDERS),
}


def _listed_packages():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return set(config["options"]["packages"].split())


def test_setup_cfg_lists_every_package():
    found = {"disac"}
    for folder in FOLDERS:
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join(("disac", *init.parent.relative_to(ROOT).parts)))
    assert _listed_packages() == found


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_one_way(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] == "disac" and len(parts) > 1 and parts[1] in FOLDERS:
                assert parts[1] in MAY_IMPORT[folder], f"{path.relative_to(ROOT)} imports {name}"
            assert parts[0] not in FOLDERS, f"{path.relative_to(ROOT)} imports {name} by its folder"


def test_version_is_the_installed_one():
    assert version("disac") == disac.__version__


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_second_copy_by_folder_name_is_refused(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=rf"disac\.{folder}"):
        __import__(folder)


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from disac.experiments.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'numba', 'scipy', 'matplotlib', 'cvxpy', 'pandas', 'xarray'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_kernels_get_a_cache_where_nothing_else_can_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "remembered, so that the end of the test restores it")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(disac.os, "access", lambda *_: False)
    monkeypatch.setattr(disac.tempfile, "gettempdir", lambda: str(tmp_path))
    disac._provide_kernel_cache()
    assert disac.os.environ["NUMBA_CACHE_DIR"].startswith(str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "mine")
    disac._provide_kernel_cache()
    assert disac.os.environ["NUMBA_CACHE_DIR"] == "mine"
