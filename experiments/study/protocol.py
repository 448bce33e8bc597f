"""What a study is: settings, campaigns, tables, pictures and verdicts of one question, registered under a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from disac.experiments.runs.folder import STORE
from disac.experiments.study.settings import StudySettings
from disac.registration import Registry, declared_names

if TYPE_CHECKING:
    from disac.experiments.statistics.verdicts import Finding
    from disac.experiments.study.run import StudyRun
    from disac.experiments.trials.experiment import Experiment
    from disac.experiments.trials.stopping import StoppingPolicy

S = TypeVar("S", bound=StudySettings)
Row = dict[str, Any]


@dataclass(frozen=True)
class Campaign:
    """An experiment of a study with what its run needs.

    Attributes
    ----------
    experiment : what is run.
    trials, stopping : number of trials per point, or when a point has enough; see
        :func:`disac.experiments.campaign.runner.run_campaign`.
    store : name of the file of records in the run's folder.
    title, unit : what the progress display calls the campaign and a trial.
    batch_size : trials per task; it changes no record.
    alone : whether its trials run one at a time, in this process: run times are what it measures.
    """

    experiment: Experiment
    trials: int | None = None
    stopping: StoppingPolicy | None = None
    store: str = STORE
    title: str = ""
    unit: str = "draw"
    batch_size: int | None = 1
    alone: bool = False


class Study(Generic[S]):
    """One question that campaigns answer. A study is one file with one subclass, registered by :func:`register_study`.

    A subclass has a class ``Settings``, the attributes below, :meth:`experiment` and :meth:`summarize`. What else it
    needs has a default. It holds no state: everything it works on is in the run that its methods are given.

    Attributes
    ----------
    name : of its command ``disac run NAME`` and of its pictures; :func:`register_study` sets it.
    summary : its line of help.
    about : what its page of help says besides.
    title, caption : heading of its section in the gallery, and the sentence under the picture.
    place : place among the sections of ``disac reproduce``; None: not a part of it unless named by ``--only``.
    watched : columns of the records whose root mean ratio the progress display shows, with its label.
    in_shards : whether its one campaign may be run in parts, on several machines, and merged.
    summarizes_part : whether an interrupted run is summarized as far as it has come.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    about: ClassVar[str] = ""
    title: ClassVar[str] = ""
    caption: ClassVar[str] = ""
    place: ClassVar[int | None] = None
    watched: ClassVar[tuple[str, str, str] | None] = None
    in_shards: ClassVar[bool] = False
    summarizes_part: ClassVar[bool] = False
    Settings: type[S]

    def experiment(self, settings: S) -> Experiment:
        """The experiment of a study with one campaign, of ``settings.draws`` trials per point."""
        raise NotImplementedError(f"study {self.name}: has neither experiment() nor campaigns()")

    def campaigns(self, run: StudyRun[S]) -> Iterator[Campaign]:
        """The campaigns in their order. Each is run before the next is asked for, which may read what it stored."""
        draws: int = run.settings.draws  # type: ignore[attr-defined]
        yield Campaign(self.experiment(run.settings), trials=draws)

    def write_files(self, run: StudyRun[S], folder: Path) -> None:
        """Write into ``folder`` what a run needs besides its settings, once it is set up."""

    def summarize(self, run: StudyRun[S]) -> Sequence[Row]:
        """Rows of ``summary.csv``: nothing in them depends on the machine, so that the rerun line repeats the bytes."""
        raise NotImplementedError(f"study {self.name}: has no summarize()")

    def other_tables(self, run: StudyRun[S], rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
        """Rows of further tables NAME.csv, by the rows of ``summary.csv``; measured times belong into ``times``."""
        return {}

    def plot(self, run: StudyRun[S], rows: Sequence[Row]) -> None:
        """Draw NAME.png, .svg and .pdf into the run's folder from the rows of ``summary.csv``."""

    def judge(self, run: StudyRun[S], rows: Sequence[Row]) -> Sequence[Finding]:
        """Claims that the run decides."""
        return ()

    def unstated(self, settings: S) -> Sequence[tuple[str, str]]:
        """Pairs of what the paper leaves open and what was chosen."""
        return ()

    def failure(self, rows: Sequence[Row]) -> str | None:
        """Why the run has nothing to show; None where it has."""
        return None

    def table(self, run: StudyRun[S], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]] | None:
        """Header and cells of a table that the terminal shows; None for none."""
        return None

    def lines(self, run: StudyRun[S], rows: Sequence[Row]) -> Iterator[str]:
        """What the terminal shows of a finished run."""
        for finding in self.judge(run, rows):
            yield f"{finding.verdict}: {finding.claim}: {finding.effect}"


STUDIES: Registry[type[Study[Any]]] = Registry(
    "study", "disac.studies", declared_names("disac.experiments.studies", "register_study")
)
"""All studies by name. A built-in one is a file of ``experiments/studies`` and nothing else."""


def register_study(name: str) -> Any:
    """Decorator that makes a subclass of :class:`Study` known as ``disac run NAME``, from any package."""

    def register(study: type[Study[Any]]) -> type[Study[Any]]:
        study.name = name
        registered: type[Study[Any]] = STUDIES.register(name)(study)
        return registered

    return register


def get_study(name: str) -> Study[Any]:
    """The study of this name; its module is imported only now.

    Raises
    ------
    ValueError : there is none.
    """
    return STUDIES.get(name)()


def study_names() -> tuple[str, ...]:
    """Names of all studies."""
    return STUDIES.names()


def reproduced_studies() -> list[Study[Any]]:
    """The studies of ``disac reproduce`` in the order of the docs."""
    studies = [get_study(name) for name in study_names()]
    return sorted((s for s in studies if s.place is not None), key=lambda study: study.place or 0)
