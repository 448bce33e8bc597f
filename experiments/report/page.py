"""``disac report``: everything about a run in one HTML file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from disac.designs.result import GAP_LIMIT, RESIDUAL_LIMIT
from disac.experiments.campaign.operations import RunStatus, show, status
from disac.experiments.campaign.projection import duration_text, size_text
from disac.experiments.report.tables import (
    Summary,
    Table,
    designs_table,
    flat,
    has_a_row_per_point,
    infeasible_table,
    means_tables,
    plain_table,
    points_table,
    summary_table,
)
from disac.experiments.runs.choices import CHOICES
from disac.experiments.runs.design_record import FILE, load_design_records
from disac.experiments.runs.folder import STORE
from disac.experiments.runs.reading import read_json, read_toml
from disac.experiments.runs.replacing import replace_text
from disac.experiments.runs.store import PointStatus, RunReader, StoreError
from disac.simulator import Scenario

FAILURES_SHOWN = 100
_SUMMARY = "summary.csv"

_CAPTIONS = {
    "scene": "Scene: nodes with their broadside, targets, users and search area",
    "rmse": "Position error against its bounds",
    "ber": "Bit error ratio against theory; an arrow is an upper bound where no error was seen",
}
_LAST_CAPTION = len(_CAPTIONS)


@dataclass(frozen=True)
class Picture:
    """An image as data URI."""

    name: str
    caption: str
    uri: str


@dataclass(frozen=True)
class ReportedFailure:
    """A failed trial, or with ``trial`` None a failed set-up, with its key."""

    number: int
    point: PointStatus
    trial: int | None
    kind: str
    message: str
    trace: str


@dataclass(frozen=True)
class Report:
    """What the page says. Texts are plain and are escaped by the template.

    Attributes
    ----------
    remarks : (sentence, whether it is a warning) under the headline.
    facts, settings, scene_facts, environment : pairs of name and value.
    listings : (title, text) of stored files and configuration.
    omitted_failures : failures beyond `FAILURES_SHOWN`.
    """

    title: str
    run: str
    rerun: str
    facts: list[tuple[str, str]]
    remarks: list[tuple[str, bool]]
    settings: list[tuple[str, str]]
    scene_title: str
    scene_facts: list[tuple[str, str]]
    scene_warnings: list[str]
    scene: Picture | None
    pictures: list[Picture]
    results: list[Table]
    designs: Table | None
    listings: list[tuple[str, str]]
    failures: list[ReportedFailure]
    omitted_failures: int
    environment: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    sessions: list[tuple[str, ...]]
    replay: str = ""


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run, also while it goes on, and return the file's path. The run is only read.

    Parameters
    ----------
    run : run folder, or the SQLite file of any experiment.
    out : HTML file; by default ``report.html`` in the folder, or the SQLite file's name with ``.html``.

    Raises
    ------
    StoreError : there is no run, or its file is damaged or newer than this version.
    """
    page = render(collect(run))
    target = out or (run / "report.html" if run.is_dir() else run.with_suffix(".html"))
    replace_text(target, page)
    return target


def render(report: Report) -> str:
    """The page as HTML."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html.j2").render(report=report)


def collect(run: Path) -> Report:
    """Read everything that the report says from a run folder or its SQLite file."""
    folder = _Folder.of(run)
    found = status(folder.store) if folder.store is not None else None
    points = found.points if found is not None else ()
    meta = found.meta if found is not None else {}
    sessions: list[dict[str, Any]] = meta.get("sessions", [])
    provenance = sessions[-1]["provenance"] if sessions else folder.json("provenance.json") or {}
    summary = folder.summary()
    current = not folder.are_older_than(folder.store) if summary is None else summary.agrees_with(points)
    designs = folder.designs()
    failures = [] if folder.store is None else list(_failures(folder.store, points))
    pictures = [picture for picture in folder.pictures() if current or picture.name == "scene"]
    scene_facts, scene_warnings = folder.scene()
    environment, versions = _environment(provenance)
    return Report(
        title=f"{meta.get('experiment', '' if summary is None else 'link')} run {folder.name}".strip(),
        run=folder.name,
        rerun=meta.get("rerun") or provenance.get("rerun", ""),
        facts=_facts(folder, found, provenance),
        remarks=list(_remarks(folder, found, summary, current, designs)),
        settings=[*folder.settings(), *_campaign_settings(meta)],
        scene_title="Scenario, at its own noise" + (", first of several" if len(folder.scenarios()) > 1 else ""),
        scene_facts=scene_facts,
        scene_warnings=scene_warnings,
        scene=next((picture for picture in pictures if picture.name == "scene"), None),
        pictures=[picture for picture in pictures if picture.name != "scene"],
        results=_results(folder, found, summary, current),
        designs=designs_table(designs) if designs else None,
        listings=[*folder.listings(), *_configuration(meta)],
        failures=failures[:FAILURES_SHOWN],
        omitted_failures=max(len(failures) - FAILURES_SHOWN, 0),
        environment=environment,
        versions=versions,
        sessions=[_session(session) for session in sessions],
        replay=_replay(folder.name, failures, points),
    )


@dataclass(frozen=True)
class _Folder:
    """The files of a run; any may be lacking, but not all of what tells a run."""

    name: str
    store: Path | None
    companions: Path | None = field(default=None)

    @classmethod
    def of(cls, run: Path) -> _Folder:
        if run.is_dir():
            store = run / STORE
            known = (STORE, "config.toml", _SUMMARY)
            if not any((run / name).is_file() for name in known):
                raise StoreError(f"{run}: not a run folder, it has none of {', '.join(known)}")
            return cls(run.resolve().name, store if store.is_file() else None, run)
        if run.name == STORE:
            return cls.of(run.resolve().parent)
        return cls(run.name, run)

    def _file(self, name: str) -> Path | None:
        path = self.companions / name if self.companions is not None else None
        return path if path is not None and self._is_own(path) else None

    def _is_own(self, path: Path) -> bool:
        """Whether this is a file of the run, and not a link to something outside its folder."""
        here = self.companions
        return here is not None and path.is_file() and path.resolve().is_relative_to(here.resolve())

    def _found(self, pattern: str) -> Iterator[Path]:
        return filter(self._is_own, self.companions.glob(pattern) if self.companions is not None else ())

    def json(self, name: str) -> Any:
        path = self._file(name)
        return None if path is None else read_json(path, dict)

    def designs(self) -> list[dict[str, Any]]:
        return [] if self.companions is None or self._file(FILE) is None else load_design_records(self.companions)

    def summary(self) -> Summary | None:
        """The rows of a link run, one per point."""
        path = self._file(_SUMMARY)
        return Summary.read(path) if path is not None and has_a_row_per_point(path) else None

    def tables(self) -> list[Path]:
        """CSV files with rows of other kinds, such as averages over draws; the summary first."""
        found = sorted(self._found("*.csv"), key=lambda path: (path.name != _SUMMARY, path.name))
        return [path for path in found if not has_a_row_per_point(path)]

    def are_older_than(self, store: Path | None) -> bool:
        """Whether a trial has been stored after the last of the :meth:`tables` was written."""
        if store is None or not self.tables():
            return False
        with RunReader(store) as reader:
            timing = reader.timing()
        last = float((timing["started"] + timing["seconds"]).max()) if len(timing["started"]) else 0.0
        return max(path.stat().st_mtime for path in self.tables()) < last

    def other_stores(self) -> list[str]:
        """Names of further files with records."""
        return sorted(path.name for path in self._found("*.sqlite") if path != self.store)

    def settings(self) -> list[tuple[str, str]]:
        path = self._file("config.toml")
        if path is None:
            return []
        settings = read_toml(path)
        listed = {name: value for name, value in settings.items() if name not in ("cases", "infeasible")}
        return [("designs", str(len(settings.get("cases", ())))), *flat(listed)]

    def scenarios(self) -> list[Path]:
        return sorted(self._found("scenario-*.toml"), key=lambda path: (len(path.name), path.name))

    def scene(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Numbers of the first scenario and what contradicts each other in it."""
        for path in self.scenarios():
            try:
                scenario = Scenario.from_toml(path)
            except (OSError, ValueError) as error:
                return [], [f"{path.name} cannot be read: {error}"]
            s, description = scenario, scenario.describe()
            counts = (
                ("nodes, targets, users", f"{s.n_nodes}, {s.n_targets}, {s.n_users}"),
                ("antennas of a node, transmit and receive", f"{s.n_tx}, {s.n_rx}"),
                ("bandwidth", f"{s.bandwidth_hz / 1e6:g} MHz"),
                ("subcarriers, OFDM symbols", f"{s.n_subcarriers}, {s.n_symbols}"),
                ("power of an antenna", f"{s.tx_power:g}"),
            )
            return [*counts, *description.rows()], list(description.warnings)
        return [], []

    def listings(self) -> Iterator[tuple[str, str]]:
        """Settings, choices and the first scenario as stored, and in which fields the other scenarios differ."""
        for path in (self._file("config.toml"), self._file(CHOICES)):
            if path is not None:
                yield path.name, path.read_text(encoding="utf-8")
        paths = self.scenarios()
        if not paths:
            return
        first = paths[0].read_text(encoding="utf-8")
        yield paths[0].name, first
        known = dict(flat(read_toml(paths[0])))
        lines = []
        for path in paths[1:]:
            other = dict(flat(read_toml(path)))
            changes = [
                f"{name} = {other.get(name, 'unset')}"
                for name in dict.fromkeys([*known, *other])
                if other.get(name) != known.get(name)
            ]
            lines.append(f"{path.name}: {'; '.join(changes) or 'the same'}")
        if lines:
            yield f"the other scenarios, where they differ from {paths[0].name}", "\n".join(lines)

    def pictures(self) -> list[Picture]:
        """Pictures in the folder, each once, as SVG where there is one."""
        found = {path.stem: path for kind in ("png", "svg") for path in sorted(self._found(f"*.{kind}"))}
        order = {name: place for place, name in enumerate(_CAPTIONS)}
        return [
            Picture(name, _CAPTIONS.get(name, name), _data_uri(found[name]))
            for name in sorted(found, key=lambda name: (order.get(name, _LAST_CAPTION), name))
        ]


def _data_uri(path: Path) -> str:
    kind = {".png": "image/png", ".svg": "image/svg+xml"}[path.suffix]
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode('ascii')}"


def _facts(folder: _Folder, found: RunStatus | None, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    if found is not None:
        trials = sum(point.trials for point in found.points)
        seconds = sum(point.seconds for point in found.points)
        facts += [
            ("trials", f"{trials} at {_count(len(found.points), 'point')}"),
            ("seed", str(found.meta.get("seed", "unknown"))),
            *_dates(folder.store, found),
            ("computing time", f"{duration_text(seconds)}, summed over workers"),
            ("size of the records", size_text(found.size_bytes)),
        ]
    facts.append(("disac", _version(provenance)))
    if found is not None and found.state == "complete" and folder.store is not None:
        with RunReader(folder.store) as reader:
            facts.append(("digest of the records", reader.digest()))
    return facts


def _dates(store: Path | None, found: RunStatus) -> list[tuple[str, str]]:
    sessions = found.meta.get("sessions", [])
    dates = [("started", _date(sessions[0]["started"]))] if sessions else []
    if store is not None:
        with RunReader(store) as reader:
            timing = reader.timing()
        if len(timing["started"]):
            dates.append(("last trial", _date(float((timing["started"] + timing["seconds"]).max()))))
    return dates


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _version(provenance: Mapping[str, Any]) -> str:
    source = provenance.get("source", {})
    commit = f", commit {source['commit'][:12]}" if source.get("commit") else ""
    dirty = " with changes that are in no commit" if source.get("dirty") else ""
    return f"{provenance.get('disac', 'unknown')}{commit}{dirty}"


def _remarks(
    folder: _Folder,
    found: RunStatus | None,
    summary: Summary | None,
    current: bool,
    designs: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, bool]]:
    """Sentences on the state of the run, each with whether it is a warning."""
    if found is not None:
        yield from _state(found)
    elif summary is not None:
        yield "No point could be run.", True
    if folder.other_stores():
        yield f"More records, with reports of their own: {', '.join(folder.other_stores())}.", False
    if summary is not None and summary.infeasible:
        yield f"{_count(summary.infeasible, 'point')} infeasible: no design meets the SINR threshold.", True
    yield from _accuracy(folder, found, designs)
    if summary is None:
        if not current:
            yield "Trials were stored after the tables and plots, which are left out; going on writes them anew.", True
        return
    if not current:
        yield (
            "summary.csv and the plots are not of the trials stored now and are left out; means of the columns are "
            f"shown instead. disac run link --resume {folder.name} writes them anew.",
            True,
        )
        return
    for name, what in (
        ("gross_errors", "on another peak of the likelihood"),
        ("unconverged", "not converged"),
        ("at_edge", "at the edge of the search area"),
        ("search_missed", "missed by the search: the truth explains the data better"),
    ):
        if summary.total(name):
            yield f"{_count(summary.total(name), 'estimate')} {what}; kept in the RMSE.", True


def _state(found: RunStatus) -> Iterator[tuple[str, bool]]:
    done = sum(point.stop is not None and point.stop.kind != "setup-failed" for point in found.points)
    progress = f"{done} of {_count(len(found.points), 'point')} complete"
    match found.state:
        case "complete":
            yield "Complete: every point has its reason to stop.", False
        case "running":
            yield f"Running: {progress}; written by {found.writer}.", True
        case _:
            yield f"Unfinished: {progress}; what is stored is valid, and the run can be resumed.", True
    for lacking in found.missing:
        yield f"Not in this merged run: {lacking}.", True
    failed = sum(point.failed for point in found.points)
    yield (f"{_count(failed, 'trial')} failed, listed below." if failed else "No trial failed."), failed > 0
    if any(point.stop is not None and not point.stop.repeatable for point in found.points):
        yield "Some points stopped for a reason that a rerun need not repeat, such as time.", True
    for change in found.code_changes:
        yield f"Not all trials are of the same code: {change}.", True


def _accuracy(
    folder: _Folder, found: RunStatus | None, designs: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, bool]]:
    """How many designs are inaccurate, of the folder's or, where trials are designs, of the records."""
    solved = [design["status"] == "solved" for design in designs]
    if not designs and found is not None and folder.store is not None:
        with RunReader(folder.store) as reader:
            if {"gap", "residual"} <= reader.columns().keys():
                for point in found.points:
                    table = reader.table(point.key, ["gap", "residual"])
                    tried = table["gap"] == table["gap"]
                    good = (table["gap"] <= GAP_LIMIT) & ~(table["residual"] > RESIDUAL_LIMIT)
                    solved += good[tried].tolist()
    if solved:
        bad = len(solved) - sum(solved)
        limits = f"relative gap {GAP_LIMIT:g}, violation {RESIDUAL_LIMIT:g}"
        yield f"{bad} of {_count(len(solved), 'design')} inaccurate (limits: {limits}).", bad > 0


def _campaign_settings(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = []
    if meta.get("stopping"):
        settings.append(("stopping policy", ", ".join(f"{name} {value}" for name, value in meta["stopping"].items())))
    if meta.get("shard"):
        settings.append(("shard", "{} of {}".format(*meta["shard"])))
    if meta.get("merged_from"):
        settings.append(("merged from", f"{len(meta['merged_from'])} runs"))
    return settings


def _configuration(meta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if meta.get("config"):
        yield "configuration in the records", json.dumps(meta["config"], indent=2, ensure_ascii=False)


def _results(folder: _Folder, found: RunStatus | None, summary: Summary | None, current: bool) -> list[Table]:
    if summary is not None and current:
        tables = [summary_table(summary, found.points if found is not None else ()), infeasible_table(summary)]
        return [table for table in tables if table.rows]
    tables = [plain_table(path) for path in folder.tables()] if current else []
    if found is None or folder.store is None:
        return tables
    with RunReader(folder.store) as reader:
        descriptions = {name: column.description for name, column in reader.columns().items()}
    return [*tables, points_table(found.points), *means_tables(show(folder.store), descriptions)]


def _failures(store: Path, points: Sequence[PointStatus]) -> Iterator[ReportedFailure]:
    with RunReader(store) as reader:
        for number, point in enumerate(points):
            if point.stop is not None and point.stop.kind == "setup-failed":
                trace = reader.stop_detail(point.key)
                yield ReportedFailure(number, point, None, "set-up failed", point.stop.text, trace)
            for stored in reader.failures(point.key):
                failure = stored.failure
                yield ReportedFailure(number, point, stored.trial, failure.kind, failure.message, failure.trace)


def _environment(provenance: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Machine and threads, and the versions of the packages."""
    if not provenance:
        return [], []
    python, machine = provenance.get("python", {}), provenance.get("machine", {})
    facts = [
        ("Python", f"{python.get('implementation', '')} {python.get('version', '')}"),
        ("system", str(machine.get("platform", "unknown"))),
        ("processor", str(machine.get("cpu", "unknown"))),
        ("cores", f"{machine.get('usable_cpus')} of {machine.get('cpus')} usable"),
    ]
    for pool in provenance.get("blas", ()):
        details = ", ".join(str(pool[name]) for name in ("architecture", "threading_layer") if pool.get(name))
        library = f"{pool.get('internal_api', 'library')} {pool.get('version', '')}".strip()
        count = pool.get("num_threads")
        facts.append(
            (library, f"{count} {'thread' if count == 1 else 'threads'}" + (f" ({details})" if details else ""))
        )
    facts += [(f"numba {name}", str(value)) for name, value in provenance.get("numba", {}).items()]
    return facts, [(str(name), str(version)) for name, version in provenance.get("distributions", {}).items()]


def _session(session: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        _date(session["started"]),
        str(session.get("executor", "")),
        str(session.get("workers", "")),
        _version(session["provenance"]),
    )


def _replay(name: str, failures: Sequence[ReportedFailure], points: Sequence[PointStatus]) -> str:
    """Line that repeats the first failed trial or, without any, the first trial."""
    for failure in failures:
        if failure.trial is not None:
            return shlex.join(["disac", "replay", name, str(failure.number), str(failure.trial)])
    for number, point in enumerate(points):
        if point.trials:
            return shlex.join(["disac", "replay", name, str(number), str(point.first_trial)])
    return ""
