"""Names by which designs, estimators and studies are found, and the modules that a user adds to them.

A :class:`Registry` knows three kinds of names: those built in, those that a decorator has registered in this process,
and those of entry points of installed packages. Nothing is imported before a name is asked for.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What is registered under a name.

    Attributes
    ----------
    name : the name in options, tables and files.
    value : the registered object.
    label : what legends and tables for readers call it.
    facts : what else the registration states, by name.
    """

    name: str
    value: T
    label: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """Objects of one kind by name.

    Parameters
    ----------
    kind : str
        What messages call one of them, for example ``"design"``.
    group : str
        Group of the entry points of installed packages, for example ``"disac.designs"``.
    built_in : mapping of str to str
        Name to ``"module:attribute"``, or to a module whose import registers the name.
    """

    def __init__(self, kind: str, group: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._built_in = dict(built_in)
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, *, label: str | None = None, **facts: Any) -> Callable[[R], R]:
        """Decorator that registers an object under ``name`` and returns it unchanged.

        A definition that is executed again (a notebook cell, a reloaded module) replaces its earlier self.

        Parameters
        ----------
        label : what legends call it; default: its name.
        facts : what else :meth:`entry` is to hold.

        Raises
        ------
        ValueError : the name is empty or has a comma or a space, or another object has it.
        """
        if not name or any(character in name for character in ", \t\n"):
            raise ValueError(f"{self.kind} = {name!r}: a name must be text without commas and spaces")

        def register(value: R) -> R:
            source = self._built_in.get(name, "").partition(":")[0]
            known = self._entries.get(name)
            taken = known is not None and known.value is not value and _origin(known.value) != _origin(value)
            if taken or (source and known is None and getattr(value, "__module__", source) != source):
                raise ValueError(f"{self.kind} = {name!r}: another {self.kind} of this name is already registered")
            self._entries[name] = Entry(name, value, label or name, facts)  # type: ignore[arg-type]
            return value

        return register

    def names(self) -> tuple[str, ...]:
        """All names: built-in ones, then registered ones, then those of installed packages. Imports none of them."""
        return tuple(dict.fromkeys((*self._built_in, *self._entries, *self._installed())))

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._entries or name in self._installed()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, name: str) -> T:
        """The object of a name.

        Raises
        ------
        ValueError : there is none, or the installed package that has it cannot be imported.
        """
        return self.entry(name).value

    def label(self, name: str) -> str:
        """What legends call ``name``; the name itself where it cannot be found here, as in a run from elsewhere."""
        try:
            return self.entry(name).label
        except ValueError:
            return name

    def entry(self, name: str) -> Entry[T]:
        """The object of a name with its label and facts; raises like :meth:`get`."""
        if name not in self._entries:
            if name in self._built_in:
                self._load(name, EntryPoint(name, self._built_in[name], self.group))
            elif name in self._installed():
                self._load_installed(name)
            else:
                raise ValueError(self._unknown(name))
        return self._entries[name]

    def _installed(self) -> Mapping[str, tuple[EntryPoint, ...]]:
        return _installed(self.group)

    def _load(self, name: str, point: EntryPoint) -> None:
        value = point.load()
        if name in self._entries:
            return
        if isinstance(value, ModuleType):
            raise ValueError(f"{self.kind} = {name!r}: the module {point.value} registers no {self.kind} of this name")
        self._entries[name] = Entry(name, value, name)

    def _load_installed(self, name: str) -> None:
        points = self._installed()[name]
        if len({point.value for point in points}) > 1:
            owners = ", ".join(sorted(point.dist.name if point.dist else point.value for point in points))
            raise ValueError(f"{self.kind} = {name!r}: several installed packages have it: {owners}")
        try:
            self._load(name, points[0])
        except (ImportError, AttributeError) as error:
            owner = points[0].dist.name if points[0].dist else "an installed package"
            problem = f"cannot import {points[0].value}: {error}"
            raise ValueError(f"{self.kind} = {name!r} of {owner}: {problem}") from error

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(str(name), self.names(), n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        return f"{self.kind} = {name!r}: must be one of {', '.join(self.names())}{guess}"


@cache
def _installed(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    points: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=group):
        points[point.name] = (*points.get(point.name, ()), point)
    return points


def _origin(value: object) -> object:
    """Where an object is defined: module and qualified name; the object itself where it has none."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return value if module is None or name is None else (module, name)


def declared_names(package: str, decorator: str) -> dict[str, str]:
    """Names that the modules of a package register, read from their sources: name to module.

    A module registers a name where a function or class of its top level carries ``@decorator("name", ...)``. So one
    file is all that a built-in design needs, and no module is imported to list the names.
    """
    found: dict[str, str] = {}
    for module in sorted(item.name for item in iter_modules(importlib.import_module(package).__path__)):
        name = f"{package}.{module}"
        spec = importlib.util.find_spec(name)
        source = getattr(spec and spec.loader, "get_source", lambda _: None)(name)
        for node in ast.parse(source or "").body:
            for call in getattr(node, "decorator_list", ()):
                if (
                    isinstance(call, ast.Call)
                    and getattr(call.func, "id", None) == decorator
                    and call.args
                    and isinstance(call.args[0], ast.Constant)
                ):
                    found[str(call.args[0].value)] = name
    return found


_plugins: dict[str, str] = {}
"""What :func:`import_plugin` has imported in this process: text, absolute for a file, to the module's name."""


def import_plugin(text: str) -> ModuleType:
    """Import a file or module of the user's, so that what it registers is known.

    A file ``FILE.py`` becomes the module ``FILE``, in every process that imports it, so that pickles of its objects can
    be read there. The folder of the file is searched while it is imported, so that it finds the files beside it.

    Parameters
    ----------
    text : str
        Path of a file that ends in ``.py``, or the name of an importable module.

    Raises
    ------
    ValueError : no such file or module, a file's name is no module name or is that of another module, or the import
        fails.
    """
    path = Path(text)
    if path.suffix == ".py":
        return _import_file(text, path.absolute())
    try:
        module = importlib.import_module(text)
    except Exception as error:
        hint = f"; for a file write {text}.py" if Path(f"{text}.py").is_file() else ""
        raise ValueError(f"import = {text!r}: cannot be imported: {type(error).__name__}: {error}{hint}") from error
    _plugins[text] = text
    return module


def plugins() -> tuple[str, ...]:
    """What :func:`import_plugin` has imported in this process, files by their absolute paths, for other processes."""
    return tuple(_plugins)


def plugin_modules() -> tuple[str, ...]:
    """Names of the modules that :func:`import_plugin` has imported in this process."""
    return tuple(_plugins.values())


def plugin_name(text: str) -> str:
    """Name of the module that :func:`import_plugin` makes of a text."""
    return Path(text).stem if Path(text).suffix == ".py" else text


def missing_plugins(texts: Iterable[str]) -> tuple[str, ...]:
    """Those of ``texts`` that this process has not imported; a file may lie elsewhere by now, its name counts."""
    return tuple(text for text in texts if plugin_name(text) not in _plugins.values())


def installed_modules(group: str) -> frozenset[str]:
    """Modules that the entry points of installed packages name in a group."""
    return frozenset(point.module for points in _installed(group).values() for point in points)


def _import_file(text: str, path: Path) -> ModuleType:
    name = path.stem
    if not path.is_file():
        raise ValueError(f"import = {text!r}: there is no such file")
    if not name.isidentifier():
        raise ValueError(f"import = {text!r}: a file must be named like a module, in letters, digits and _")
    if (other := _file_of(name)) is not None and other != path.resolve():
        raise ValueError(f"import = {text!r}: {name} is the name of another module, {other}; rename the file")
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"import = {text!r}: cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            with _searched(path.parent):
                spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise ValueError(f"import = {text!r}: cannot be imported: {type(error).__name__}: {error}") from error
    _plugins[str(path)] = name
    return module


def _file_of(name: str) -> Path | None:
    """File of a module that is imported or could be; its name where it has no file; None without such a module."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
        return Path(file).resolve() if file else Path(name)
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return Path(spec.origin).resolve() if spec.has_location and spec.origin else Path(name)


@contextmanager
def _searched(folder: Path) -> Iterator[None]:
    """Search a folder for modules too, after all others."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
