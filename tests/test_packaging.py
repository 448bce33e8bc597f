"""The package's shape: listed packages, import directions, light imports."""

import ast
import configparser
import os
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest

import disac
from disac import kernel_cache

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("simulator", "designs", "estimators", "experiments")
MAY_IMPORT = {
    "simulator": {"simulator"},
    "designs": {"designs", "simulator"},
    "estimators": {"estimators", "simulator"},
    "experiments": set(FOLDERS),
}

FLOORS = {
    "simulator": (
        "allocation checks errors geometry random_models steering",
        "prefix presets qam scenario_file snr tdl",
        "describe",
        "scenario",
        "synthesis",
        "ofdm",
        "streams",
        "users",
    ),
    "designs": (
        "bounds precoders",
        "problem",
        "allocation result solvers",
        "precoding",
        "registry",
        "convex sweep",
        "catalogue",
    ),
    "estimators": ("base", "detection ml range_profile two_step", "ambiguity"),
    "experiments": (
        "trials",
        "runs",
        "statistics",
        "campaign theory plotting",
        "study",
        "report paper",
        "studies",
        "reproduce",
        "cli",
    ),
}
"""Rooms of each folder, lowest floor first: a room imports from lower floors only. Every sub-package stands here; a
single module may be left out as long as it closes no circle."""

CIRCLES_LEFT = {
    ("disac.experiments.studies.link", "disac.experiments.studies.link_job"),
}
"""Imports inside functions that still close a circle. Take them out of here as they go."""


def _listed_packages():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return set(config["options"]["packages"].split())


def test_setup_cfg_lists_every_package():
    found = {"disac", "disac.testing"}
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


def _modules():
    for path in (ROOT / "src" / "disac").glob("[!_]*.py"):
        yield f"disac.{path.stem}", path
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            parts = ("disac", *path.relative_to(ROOT).with_suffix("").parts)
            yield ".".join(parts).removesuffix(".__init__"), path


def _offered(package, path):
    """Names that a package imports on their first use, each with its module."""
    stub = path.with_suffix(".pyi")
    nodes = ast.walk(ast.parse(stub.read_text(encoding="utf-8"))) if stub.exists() else ()
    return {
        f"{package}.{alias.name}": f"{package}.{node.module}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _nodes_at_run_time(tree):
    """Every node but those under ``if TYPE_CHECKING``."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _nodes_at_run_time(other)
        else:
            yield from _nodes_at_run_time(child)


@cache
def _imports_at_run_time():
    """Module -> modules of ours that it imports, at its top or inside a function."""
    modules = dict(_modules())
    offered = {}
    for name, path in modules.items():
        if path.name == "__init__.py":
            offered.update(_offered(name, path))
    graph = {name: set() for name in modules}
    for name, path in modules.items():
        for node in _nodes_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("disac."):
                for full in (f"{node.module}.{alias.name}" for alias in node.names):
                    found = offered.get(full, full if full in modules else node.module)
                    assert found in modules, f"{name} imports {full}, which is not there"
                    graph[name].add(found)
            elif isinstance(node, ast.Import):
                graph[name].update(alias.name for alias in node.names if alias.name in modules)
    return graph


def _room(module):
    return tuple(module.split(".")[1:3])


def _refuse_cycles(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' imports '.join(reversed(error.args[1]))}")


def test_no_module_imports_itself_by_a_detour():
    graph = _imports_at_run_time()
    _refuse_cycles({name: {other for other in graph[name] if (name, other) not in CIRCLES_LEFT} for name in graph})


def test_no_room_imports_itself_by_a_detour():
    rooms = {}
    for module, imported in _imports_at_run_time().items():
        here = ".".join(_room(module))
        rooms.setdefault(here, set()).update(other for m in imported if (other := ".".join(_room(m))) != here)
    _refuse_cycles(rooms)


@pytest.mark.parametrize("folder", FOLDERS)
def test_rooms_import_from_lower_floors_only(folder):
    floor = {room: number for number, rooms in enumerate(FLOORS[folder]) for room in rooms.split()}
    rooms = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    assert rooms <= floor.keys(), "every sub-package stands on a floor"
    assert floor.keys() - rooms <= {path.stem for path in (ROOT / folder).glob("*.py")}, "what stands there exists"
    for module, imported in _imports_at_run_time().items():
        for other in imported:
            (here, *room), (there, *below) = _room(module), _room(other)
            if here == there == folder and room and below and room != below and {*room, *below} <= floor.keys():
                assert floor[below[0]] < floor[room[0]], f"{module} imports {other}, which is no lower"


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


@pytest.fixture
def nowhere_to_write(monkeypatch, tmp_path):
    """Neither package nor user's cache can be written; the temporary folder is ``tmp_path``."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "remembered, so that the end of the test restores it")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(kernel_cache.os, "access", lambda *_: False)
    monkeypatch.setattr(kernel_cache.tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"disac-numba-{os.getuid()}"


def _provided():
    kernel_cache.provide_kernel_cache()
    return Path(os.environ["NUMBA_CACHE_DIR"])


def test_kernels_get_a_private_cache_where_nothing_else_can_be_written(nowhere_to_write, monkeypatch):
    assert _provided() == nowhere_to_write
    assert nowhere_to_write.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert _provided() == nowhere_to_write, "the next process finds the same kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", "mine")
    assert _provided() == Path("mine")


def _open_to_others(folder):
    folder.mkdir()
    folder.chmod(0o777)


def _link(folder):
    (folder.parent / "evil").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "evil")


@pytest.mark.parametrize("plant", [_open_to_others, _link, Path.touch, lambda folder: folder.symlink_to("none")])
def test_a_cache_that_another_user_may_have_planted_is_not_used(nowhere_to_write, plant):
    plant(nowhere_to_write)
    found = _provided()
    assert found.parent == nowhere_to_write.parent
    assert found not in (nowhere_to_write, nowhere_to_write.parent / "evil")
    assert found.stat().st_mode & 0o777 == 0o700


def test_a_cache_of_another_owner_is_not_used(nowhere_to_write, monkeypatch):
    nowhere_to_write.mkdir(mode=0o700)
    owner = os.getuid()
    monkeypatch.setattr(kernel_cache.os, "getuid", lambda: owner + 1)
    planted = nowhere_to_write.rename(nowhere_to_write.with_name(f"disac-numba-{owner + 1}"))
    assert _provided() != planted


@pytest.mark.parametrize("blocked", ["numba", "numba/folder_of_another"])
def test_a_cache_folder_of_numba_that_belongs_to_another_is_passed_by(tmp_path, monkeypatch, blocked):
    """``~/.cache`` can be written, what stands in it cannot: root ran a kernel with this home folder."""
    (tmp_path / "cache" / blocked).mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    closed = {Path(kernel_cache.__file__).parent, tmp_path / "cache" / blocked}
    monkeypatch.setattr(kernel_cache.os, "access", lambda path, _: Path(path) not in closed)
    monkeypatch.setattr(kernel_cache.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "remembered, so that the end of the test restores it")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert _provided().name == f"disac-numba-{os.getuid()}"
    closed.discard(tmp_path / "cache" / blocked)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    kernel_cache.provide_kernel_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ


def _kernels(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(d) for d in node.decorator_list):
            yield node


def test_a_kernel_uses_nothing_of_another_module_of_ours():
    """Numba compiles a cached kernel anew when its own file changes, and does not notice a change in another."""
    found = 0
    for name, path in _modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        foreign = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("disac")
            for alias in node.names
        }
        for kernel in _kernels(tree):
            found += 1
            used = {node.id for statement in kernel.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
            assert not used & foreign, f"{name}.{kernel.name} uses {sorted(used & foreign)}: define it in its module"
    assert found > 40
