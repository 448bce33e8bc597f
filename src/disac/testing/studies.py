"""The contract of studies: settings that become options, and a run that its line repeats byte for byte."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from functools import partial
from pathlib import Path

from click.testing import CliRunner

from disac.experiments.cli.main import cli
from disac.experiments.study.protocol import get_study, study_names
from disac.experiments.study.run import StudyRun
from disac.experiments.study.settings import options_of


def settings_become_words(name: str) -> None:
    """The full and the quick settings are allowed, and survive the way through words and through JSON."""
    study = get_study(name)
    assert study.name == name, f"the study calls itself {study.name!r}, it is registered as {name!r}"
    for quick in (False, True):
        settings = study.Settings.chosen(quick=quick)
        words, plain = settings.words(quick=quick), [*(["--quick"] if quick else []), "--seed", "0"]
        assert words == plain, f"the words of the defaults are {words}, not {plain}"
        again = study.Settings.model_validate_json(settings.model_dump_json())
        assert again == settings, f"settings come back from JSON as {again!r}, they were {settings!r}"


def help_names_options(name: str) -> None:
    """Help has a line for the study and each of its options."""
    study = get_study(name)
    assert study.summary, "has no summary, its line of help"
    shown = CliRunner().invoke(cli, ["run", name, "--help"])
    assert shown.exit_code == 0, f"disac run {name} --help fails: {shown.output}"
    for option in options_of(study.Settings):
        assert option.flag in shown.output, f"help does not name {option.flag}"
        assert option.description, f"{option.flag} has no description"


def rerun_repeats_the_run(name: str, options: Sequence[str], folder: Path) -> None:
    """A run in ``folder`` has its files, goes on without a change, and its line gives the same tables elsewhere."""
    first, elsewhere = folder / "first", folder / "empty"
    elsewhere.mkdir(parents=True)
    _invoke("run", name, *options, "--out", str(first))
    for needed in ("summary.csv", "rerun.txt", "provenance.json", "settings.json", "unstated.txt"):
        assert (first / needed).is_file(), f"the run leaves no {needed}"
    table = (first / "summary.csv").read_bytes()
    header = table.decode().partition("\n")[0]
    assert "seconds" not in header, f"summary.csv holds run times, which no rerun repeats: {header}"
    assert StudyRun.load(first).rows(), "summary.csv has no rows"
    _invoke("run", name, "--resume", str(first))
    assert (first / "summary.csv").read_bytes() == table, "--resume of a complete run changes summary.csv"
    command, *words = shlex.split((first / "rerun.txt").read_text("utf-8"))
    assert command == "disac", f"rerun.txt begins with {command!r}"
    with chdir(elsewhere):
        _invoke(*words)
    (again,) = (elsewhere / "runs").iterdir()
    for written in ("summary.csv", "rerun.txt", "settings.json", "unstated.txt"):
        same = (again / written).read_bytes() == (first / written).read_bytes()
        assert same, f"the line of rerun.txt gives another {written}"


def _invoke(*words: str) -> None:
    result = CliRunner().invoke(cli, [*words, "--workers", "1"])
    assert result.exit_code == 0, f"{shlex.join(['disac', *words])} fails: {result.output}"


def check_study(name: str, options: Sequence[str] = ("--quick",)) -> None:
    """Run the whole contract suite on one registered study.

    Parameters
    ----------
    name : str
        A name of :func:`disac.experiments.study_names`.
    options : sequence of str
        Options of ``disac run NAME`` that make its run small; by default its quick one.

    Raises
    ------
    AssertionError : the study breaks its contract; every broken part is named.
    ValueError : there is no study of this name.
    """
    if name not in study_names():
        get_study(name)  # raises with the names that there are
    broken = []
    with tempfile.TemporaryDirectory() as folder:
        for check in (
            partial(settings_become_words, name),
            partial(help_names_options, name),
            partial(rerun_repeats_the_run, name, options, Path(folder)),
        ):
            try:
                check()
            except AssertionError as error:
                broken.append(f"{check.func.__name__}: {error}")
            except Exception as error:
                broken.append(f"{check.func.__name__}: raised {type(error).__name__}: {error}")
    assert not broken, f"study {name} breaks its contract\n" + "\n".join(broken)
