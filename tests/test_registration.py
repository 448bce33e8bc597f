"""Registries by name, names read from sources, and modules that a user adds."""

import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from disac import registration
from disac.registration import Registry, declared_names, import_plugin, plugin_modules, plugins


@pytest.fixture
def registry():
    return Registry("shape", "disac.shapes", {"square": "shapes_of_test", "pi": "math:pi"})


@pytest.fixture
def installed(monkeypatch):
    """Entry points as if packages had been installed."""

    def install(*points):
        monkeypatch.setattr(registration, "entry_points", lambda group: [p for p in points if p.group == group])
        registration._installed.cache_clear()

    yield install
    registration._installed.cache_clear()


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Modules and plugins of a test are gone after it."""
    before = set(sys.modules)
    monkeypatch.setattr(registration, "_plugins", {})
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_names_come_built_in_first_then_registered_then_installed(registry, installed):
    installed(EntryPoint("theirs", "math:tau", "disac.shapes"), EntryPoint("pi", "math:tau", "disac.shapes"))

    @registry.register("mine", label="Mine", round=True)
    def mine():
        pass

    assert registry.names() == ("square", "pi", "mine", "theirs")
    assert list(registry) == list(registry.names())
    assert "shapes_of_test" not in sys.modules
    assert registry.get("mine") is mine
    assert (registry.label("mine"), registry.entry("mine").facts) == ("Mine", {"round": True})
    assert registry.get("pi") == pytest.approx(3.14159, abs=1e-5)
    assert registry.get("theirs") == pytest.approx(6.28319, abs=1e-5)
    assert registry.label("theirs") == "theirs"
    assert registry.label("gone") == "gone"


def test_an_unknown_name_suggests_the_nearest(registry):
    with pytest.raises(ValueError, match=r"shape = 'sqare': must be one of square, pi; did you mean 'square'\?"):
        registry.get("sqare")


def test_a_second_object_of_a_name_is_refused_and_the_same_again_is_not(registry):
    def define():
        @registry.register("mine")
        def mine():
            pass

        return mine

    define()
    again = define()
    assert registry.get("mine") is again
    with pytest.raises(ValueError, match="shape = 'mine': another shape of this name is already registered"):
        registry.register("mine")(len)
    with pytest.raises(ValueError, match="shape = 'square': another shape"):
        registry.register("square")(len)
    for name in ("", "a,b", "a b"):
        with pytest.raises(ValueError, match="without commas and spaces"):
            registry.register(name)


def test_broken_and_clashing_packages_are_named(registry, installed):
    installed(
        EntryPoint("lost", "no_such_module_here:x", "disac.shapes"),
        EntryPoint("two", "math:pi", "disac.shapes"),
        EntryPoint("two", "math:tau", "disac.shapes"),
        EntryPoint("silent", "json", "disac.shapes"),
    )
    with pytest.raises(ValueError, match=r"shape = 'lost'.*cannot import no_such_module_here:x"):
        registry.get("lost")
    with pytest.raises(ValueError, match="shape = 'two': several installed packages"):
        registry.get("two")
    with pytest.raises(ValueError, match="the module json registers no shape of this name"):
        registry.get("silent")


def test_names_are_read_from_sources_without_importing(tmp_path, monkeypatch):
    package = tmp_path / "shapes_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "round.py").write_text(
        "raise SystemExit\n@known('circle', label='o')\ndef f(): ...\n@other('no')\ndef g(): ...\n"
    )
    (package / "flat.py").write_text("@known('line')\nclass Line: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert declared_names("shapes_package", "known") == {
        "line": "shapes_package.flat",
        "circle": "shapes_package.round",
    }


def test_a_file_becomes_a_module_that_other_processes_import_alike(tmp_path):
    (tmp_path / "beside_mine.py").write_text("value = 5\n")
    file = tmp_path / "mine_of_test.py"
    file.write_text("from beside_mine import value\nclass Mine:\n    value = value\n")
    module = import_plugin(str(file))
    assert import_plugin(str(file)) is module
    assert plugins() == (str(file),)
    assert plugin_modules() == ("mine_of_test",)
    (tmp_path / "pickled").write_bytes(pickle.dumps(module.Mine()))
    script = (
        "import pickle, sys; from disac.registration import import_plugin; import_plugin(sys.argv[1]); "
        "print(pickle.loads(open(sys.argv[2], 'rb').read()).value)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file), str(tmp_path / "pickled")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "5\n"


def test_modules_are_imported_by_name():
    assert import_plugin("json.tool").__name__ == "json.tool"
    assert plugins() == ("json.tool",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lacking.py", None, "there is no such file"),
        ("no-module.py", "", "a file must be named like a module"),
        ("json.py", "", "json is the name of another module"),
        ("sys.py", "", "sys is the name of another module"),
        ("broken_of_test.py", "1/0", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_files_that_cannot_be_imported_are_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"import = '.*{name}': {message}"):
        import_plugin(str(tmp_path / name))
    assert plugins() == ()


def test_a_file_given_without_its_suffix_is_recognized(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_here.py").write_text("")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(ValueError, match=r"cannot be imported: ModuleNotFoundError.*for a file write mine_here\.py"):
        import_plugin("mine_here")
