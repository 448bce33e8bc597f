"""A study's run: the folder with its settings, the campaigns in it, and the tables and pictures made from them."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from disac.experiments.runs.choices import write_choices
from disac.experiments.runs.failures import Failures
from disac.experiments.runs.file import StoreError
from disac.experiments.runs.folder import RERUN, STORE, begun, new_run, records_kept, rerun_line, write_provenance
from disac.experiments.runs.reading import read_json
from disac.experiments.runs.replacing import replace_text
from disac.experiments.runs.tables import read_csv, write_csv
from disac.experiments.study.protocol import Campaign, Row, S, Study, get_study
from disac.experiments.study.settings import options_of, value_text
from disac.experiments.trials.experiment import ExperimentError
from disac.registration import plugins

if TYPE_CHECKING:
    from disac.experiments.statistics.draws import PointDraws

SETTINGS = "settings.json"
"""Name of the file in a run folder that holds the study's name and settings."""
SUMMARY = "summary"
"""Name of the table that every study has."""
TIMES = "times"
"""Name of the table of measured times, which are no part of what a rerun repeats."""


@dataclass(frozen=True)
class Execution:
    """Where and by how many the trials of a run are made; it changes no number.

    Attributes
    ----------
    workers : worker processes.
    executor, scheduler : see :func:`disac.experiments.campaign.executors.open_executor`; None lets the runner choose.
    shard : part (i, n) of every point's trials.
    timeout_s : limit of one trial, in local worker processes only [s].
    """

    workers: int = 1
    executor: str | None = None
    scheduler: str | None = None
    shard: tuple[int, int] | None = None
    timeout_s: float | None = None


class StudyRun(Generic[S]):
    """A folder of one study.

    Attributes
    ----------
    study, settings : what is run.
    folder : where.
    quick : whether the settings are written as differences from the quick ones in the rerun line.
    shard : part (i, n) of every point's trials that the run is; None for all.
    kept : what the study keeps of the run while this object lives.
    """

    def __init__(
        self,
        study: Study[S],
        settings: S,
        folder: Path,
        *,
        quick: bool = False,
        shard: tuple[int, int] | None = None,
    ) -> None:
        self.study, self.settings, self.folder, self.quick, self.shard = study, settings, folder, quick, shard
        self.kept: dict[str, Any] = {}
        self._campaigns: dict[str, Campaign] = {}

    @classmethod
    def load(cls, folder: Path) -> StudyRun[Any]:
        """The run that a folder holds.

        Raises
        ------
        FileNotFoundError : it holds none.
        ValueError : its study is not known here, or its settings are not those of the study.
        """
        stored = _stored(folder)
        if stored is None:
            raise FileNotFoundError(f"{folder}: holds no run of a study, it has no {SETTINGS}")
        study = get_study(stored["study"])
        settings = study.Settings.model_validate_json(json.dumps(stored["settings"]))
        shard = stored.get("shard")
        return cls(study, settings, folder, quick=stored["quick"], shard=None if shard is None else tuple(shard))

    @property
    def rerun_line(self) -> str:
        """The command that gives the same tables again."""
        words = self.settings.words(quick=self.quick)
        words += [] if self.shard is None else ["--shard", "{}/{}".format(*self.shard)]
        words += [word for text in plugins() for word in ("--import", text)]
        return shlex.join(["disac", "run", self.study.name, *words])

    @property
    def stem(self) -> Path:
        """Where the study's picture goes, without its suffix."""
        return self.folder / self.study.name

    @property
    def is_complete(self) -> bool:
        """Whether it has its table."""
        return (self.folder / f"{SUMMARY}.csv").is_file()

    def rows(self, table: str = SUMMARY) -> list[Row]:
        """Rows of the folder's table of this name, without their empty cells; none where there is no such table."""
        return read_csv(self.folder / f"{table}.csv")

    def campaigns(self) -> Iterator[Campaign]:
        """The campaigns in their order; later ones may need what the earlier ones have stored."""
        self._campaigns = {}
        for campaign in self.study.campaigns(self):
            yield campaign
            self._campaigns[campaign.store] = campaign

    def draws(self, store: str = STORE) -> list[PointDraws]:
        """All trials of a store, point by point in the order of its experiment.

        Points that a longer sweep has left behind are passed over, so that a run that has grown gives the tables of one
        that was begun as large.
        """
        from disac.experiments.statistics.draws import read_draws
        from disac.experiments.trials.keys import plain_point, point_key

        if store not in self._campaigns:
            known = StudyRun(self.study, self.settings, self.folder, quick=self.quick)
            known.kept = self.kept
            campaign = next((item for item in known.campaigns() if item.store == store), None)
            if campaign is None:
                raise ValueError(f"store = {store!r}: study {self.study.name} has no campaign of this store")
            self._campaigns[store] = campaign
        stored = {point_key(point.fields): point for point in read_draws(self.folder / store)}
        keys = [point_key(plain_point(point)) for point in self._campaigns[store].experiment.points()]
        return [stored[key] for key in keys if key in stored]

    def failures(self) -> list[Failures]:
        """Failed trials of every campaign that has some, with their reasons."""
        stores = [self.folder / campaign.store for campaign in self._campaigns.values()]
        counted = [Failures.of(store) for store in stores if store.is_file()]
        return [found for found in counted if found.reasons]

    def write_setup(self, folder: Path) -> None:
        """Write into ``folder`` what tells the run and how to repeat it."""
        stored: dict[str, Any] = {"study": self.study.name, "quick": self.quick}
        stored |= {} if self.shard is None else {"shard": list(self.shard)}
        stored |= {"settings": self.settings.model_dump(mode="json")}
        write_provenance(folder, self.rerun_line)
        self.study.write_files(self, folder)
        replace_text(folder / SETTINGS, json.dumps(stored, indent=1) + "\n")

    def go_on(self) -> None:
        """Check that the folder holds this run, or a smaller one, whose tables then go.

        Raises
        ------
        ValueError : the folder holds a run of another study or of other settings; only numbers of draws and trials may
            grow.
        """
        stored = _stored(self.folder)
        if stored is None:
            raise FileNotFoundError(f"{self.folder}: holds no run of a study, it has no {SETTINGS}")
        self.quick = stored["quick"]
        if stored.get("shard") is not None and self.shard is None:
            self.shard = tuple(stored["shard"])
        self._check_growth(stored)
        if stored["settings"] != self.settings.model_dump(mode="json"):
            (self.folder / f"{SUMMARY}.csv").unlink(missing_ok=True)
            self.write_setup(self.folder)

    def _check_growth(self, stored: dict[str, Any]) -> None:
        changes = []
        if stored["study"] != self.study.name:
            changes.append(f"study: stored {stored['study']}, given {self.study.name}")
        if self.shard != (tuple(stored["shard"]) if stored.get("shard") else None):
            begun_as = stored.get("shard") or ["none"]
            changes.append(
                f"--shard: stored {'/'.join(map(str, begun_as))}, given {'/'.join(map(str, self.shard or ()))}"
            )
        now = self.settings.model_dump(mode="json")
        for option in options_of(type(self.settings)):
            before, after = stored["settings"].get(option.field), now[option.field]
            may_grow = option.grows and before is not None and after is not None and after > before
            if before != after and not may_grow:
                changes.append(f"{option.flag}: stored {_shown(before)}, given {_shown(after)}")
        if changes:
            listed = "\n  ".join([f"{self.folder} was begun with other options; nothing was changed", *changes])
            raise ValueError(f"{listed}\nthe line that began it is in {self.folder / RERUN}")


def _stored(folder: Path) -> dict[str, Any] | None:
    path = folder / SETTINGS
    if not path.is_file():
        return None
    stored: dict[str, Any] = read_json(path, dict)
    return stored


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return value_text(tuple(value)) or "none"
    return "none" if value is None else value_text(value)


def run_study(
    study: Study[S],
    settings: S,
    out: Path | None = None,
    *,
    resume: bool = False,
    quick: bool = False,
    execution: Execution | None = None,
    begins: Callable[[StudyRun[S]], object] | None = None,
) -> StudyRun[S]:
    """Run a study in a folder, or go on with what it holds, and write its tables, choices and pictures.

    The folder then has ``settings.json``, ``provenance.json``, ``rerun.txt`` with the line that gives the same
    ``summary.csv`` byte for byte, the stores of the campaigns, the tables, ``unstated.txt`` and the pictures.

    Parameters
    ----------
    out : the folder; None makes one, see :func:`disac.experiments.runs.folder.new_run`.
    resume : go on with the run in ``out`` if one has begun there.
    quick : whether the rerun line names the settings as differences from the quick ones.
    execution : where trials run; by default in this process.
    begins : called with the run once its folder is set up.

    Raises
    ------
    FolderError : the folder is in use, or holds something and ``resume`` is false.
    ValueError : it holds another run; see :meth:`StudyRun.go_on`.
    CampaignInterrupted : Ctrl-C; what was stored stays, and the same call with ``resume`` goes on.
    ExperimentError : so many trials failed that no table can be made; says why.
    """
    execution = execution or Execution()
    if resume and out is not None and begun(out):
        run = StudyRun(study, settings, out, quick=quick, shard=execution.shard)
        run.go_on()
        campaigns = run.campaigns()
        first = next(campaigns, None)
    else:
        with new_run(study.name, out) as new:
            run = StudyRun(study, settings, new.folder, quick=quick, shard=execution.shard)
            campaigns = run.campaigns()
            first = next(campaigns, None)  # what is wrong with the settings is said before anything is written
            run.write_setup(new.staging)
    if begins is not None:
        begins(run)
    try:
        while first is not None:
            _run(run, first, execution)
            first = next(campaigns, None)
    except KeyboardInterrupt:
        if study.summarizes_part:
            with suppress(StoreError):  # before the first commit there is nothing to summarize
                finish_study(run)
        raise
    with records_kept(run.folder):
        finish_study(run)
    return run


def finish_study(run: StudyRun[S]) -> list[Row]:
    """Write the tables, choices and pictures of what a run has stored; the rows of its summary."""
    failures = run.failures()
    for failed in failures:
        warnings.warn(f"{run.folder}: {failed}", stacklevel=2)
    try:
        summary = run.study.summarize(run)
    except Exception as error:
        if not failures:
            raise
        raise ExperimentError(f"{run.folder}: no table: {'; '.join(map(str, failures))}") from error
    for name, table in run.study.other_tables(run, summary).items():
        write_csv(table, run.folder / f"{name}.csv")
    write_choices(run.folder, (*run.study.unstated(run.settings), ("seed", str(run.settings.seed))))
    write_csv(summary, run.folder / f"{SUMMARY}.csv")
    rows = run.rows()
    try:
        run.study.plot(run, rows)
    except Exception as error:
        warnings.warn(f"{run.folder}: no picture was drawn: {type(error).__name__}: {error}", stacklevel=2)
    return rows


def _run(run: StudyRun[S], campaign: Campaign, execution: Execution) -> None:
    from disac.experiments.campaign.executors import open_executor
    from disac.experiments.campaign.progress import CampaignBar
    from disac.experiments.campaign.runner import run_campaign

    here = Execution() if campaign.alone else execution
    with ExitStack() as stack:
        title = campaign.title or run.study.name
        bar = stack.enter_context(CampaignBar(title, unit=campaign.unit, ratio=run.study.watched))
        executor = None
        if here.executor is not None:
            opened = open_executor(here.executor, workers=here.workers, scheduler=here.scheduler)
            executor = stack.enter_context(opened)
        run_campaign(
            campaign.experiment,
            run.folder / campaign.store,
            seed=run.settings.seed,
            trials=campaign.trials,
            stopping=campaign.stopping,
            workers=here.workers,
            executor=executor,
            shard=run.shard,
            batch_size=campaign.batch_size,
            progress=bar,
            timeout_s=here.timeout_s,
            resume=True,
            rerun_line=rerun_line(run.folder),
        )
