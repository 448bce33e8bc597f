"""The report: well-formed, complete in itself, true to the run, unmoved by hostile text, and quiet in a browser."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from campaigns import Faulty, Noise
from click.testing import CliRunner

from disac.experiments.campaign.operations import show
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.cli.main import cli
from disac.experiments.cli.report import report as report_command
from disac.experiments.report.page import FAILURES_SHOWN, collect, write_report
from disac.experiments.report.tables import Summary, summary_table
from disac.experiments.runs.design_record import design_record, load_design_records, save_design_records
from disac.experiments.runs.store import RunReader, StoreError
from disac.experiments.trials.experiment import Column
from disac.experiments.trials.stopping import TimeLimit

VOID = {"br", "hr", "img", "input", "link", "meta"}
HOSTILE = "</title></pre></td><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&amp;{{ 7331 * 7331 }}"
LINK = ["run", "link", "--set", "targets=[[0.0, 5.0]]", "--set", "n_subcarriers=8", "--snr-db", "0,30", "--trials", "8"]


class Page(HTMLParser):
    """Elements of a page with their attributes, its text and the texts of its tables; refuses unbalanced elements."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text, self.cells, self.tables = [], [], [], None, []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def tags(self):
        return {tag for tag, _ in self.elements}

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def pairs(self):
        return {row[0]: row[1] for table in self.tables for row in table if len(row) == 2}

    def grid(self, first):
        return next(table for table in self.tables if table[0][0] == first)


def _check_complete_in_itself(html):
    page = Page(html)
    assert "script" not in page.tags
    assert not re.search(r"https?://|@import|url\(", html)
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on")}, (tag, attributes)
        for name in ("src", "href", "srcset", "data", "action"):
            if name in attributes:
                assert attributes[name].startswith("data:"), (tag, attributes)
    return page


def _write(run, **options):
    return _check_complete_in_itself(write_report(run, **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "two-points"
    result = CliRunner().invoke(cli, [*LINK, "--workers", "1", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "faulty.sqlite"
    run_campaign(Faulty(raises=(1,), nan=(4,)), path, seed=3, trials=8, rerun_line="python campaign.py")
    return path


def test_a_link_run_is_told_in_full(link):
    page = _write(link)
    words, pairs = page.words, page.pairs()
    assert "Complete: every point has its reason to stop." in words
    assert "No trial failed." in words
    assert (link / "rerun.txt").read_text().strip() in words
    assert pairs["trials"] == "16 at 2 points"
    assert pairs["stopping.trials"] == "8"
    assert pairs["seed"] == "0"
    provenance = json.loads((link / "provenance.json").read_text())
    assert pairs["disac"].startswith(provenance["disac"])
    assert pairs["processor"] == provenance["machine"]["cpu"]
    for name, version in provenance["distributions"].items():
        assert f"{name} {version}" in words
    with RunReader(link / "run.sqlite") as run:
        assert pairs["digest of the records"] == run.digest()
    assert "disac replay two-points 0 0" in words
    for field in ("bandwidth", "stopping policy", "modulations", "unambiguous path, full carrier cL/B"):
        assert field in pairs


def test_numbers_of_the_table_are_those_of_the_summary(link):
    page = _write(link)
    grid = page.grid("#")
    rows = Summary.read(link / "summary.csv").rows
    assert len(grid) == 1 + len(rows) == 3
    for number, (cells, row) in enumerate(zip(grid[1:], rows, strict=True)):
        texts = dict(zip(grid[0], cells, strict=True))
        assert texts["#"] == str(number)
        assert float(texts["SNR [dB]"]) == float(row["snr_db"])
        value, low, high = map(float, re.findall(r"[-+.e\d]+", texts["RMSE [m]"]))
        exact = [float(row[name]) for name in ("rmse_m", "rmse_low_m", "rmse_high_m")]
        assert value == pytest.approx(exact[0], rel=5e-3)
        assert low == pytest.approx(exact[1], rel=2e-2)
        assert high == pytest.approx(exact[2], rel=2e-2)
        assert low <= exact[1]
        assert exact[2] <= high
        assert float(texts["RCRB realized [m]"]) == pytest.approx(float(row["rcrb_realized_m"]), rel=1e-3)
        assert float(texts["RCRB expected [m]"]) == pytest.approx(float(row["rcrb_expected_m"]), rel=1e-3)
        assert texts["trials"] == "8"
        assert texts["failed"] == "0"
        assert row["stop_reason"] in page.words
    bounded = dict(zip(grid[0], grid[2], strict=True))
    assert float(rows[1]["ber"]) == 0, "this SNR should leave no bit error"
    assert bounded["BER"].startswith("< ")
    assert float(bounded["BER"].split()[1]) == pytest.approx(float(rows[1]["ber_high"]), rel=0.05)


def test_pictures_are_those_of_the_folder(link):
    page = _write(link)
    images = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 3
    stored = {(link / f"{name}.svg").read_bytes() for name in ("scene", "rmse", "ber")}
    assert {base64.b64decode(image.partition("base64,")[2]) for image in images} == stored
    for content in stored:
        ElementTree.fromstring(content)


def test_a_report_only_reads_and_repeats_to_the_byte(link, tmp_path):
    before = {path.name: path.read_bytes() for path in link.iterdir() if path.name != "report.html"}
    first, second = (write_report(link, tmp_path / name).read_bytes() for name in "ab")
    assert first == second
    after = {path.name: path.read_bytes() for path in link.iterdir() if path.name != "report.html"}
    assert after == before


def test_the_command_writes_beside_the_run_or_where_told(link, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(link, copy)
    result = CliRunner().invoke(report_command, [str(copy / "run.sqlite"), "--out", str(tmp_path / "out.html")])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(report_command, [str(copy)])
    assert result.exit_code == 0, result.output
    assert (copy / "report.html").read_bytes() == (tmp_path / "out.html").read_bytes()
    assert "RMSE" in (copy / "report.html").read_text(encoding="utf-8")


def test_what_is_no_run_is_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("no run")
    with pytest.raises(StoreError, match="not a run folder"):
        write_report(tmp_path)
    result = CliRunner().invoke(report_command, [str(tmp_path / "notes.txt")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_summary_of_other_trials_is_not_shown(link, tmp_path):
    stale = tmp_path / "stale"
    shutil.copytree(link, stale)
    text = (stale / "summary.csv").read_text()
    (stale / "summary.csv").write_text(text.replace(",8,0,ok", ",7,0,ok"))
    page = _write(stale)
    assert "are not of the trials stored now" in page.words
    assert "RMSE [m]" not in page.words
    assert [attributes["alt"][:5] for tag, attributes in page.elements if tag == "img"] == ["Scene"]
    assert page.grid("mean (standard error)")


def test_infeasible_points_alone_make_a_report_too(tmp_path):
    folder = tmp_path / "infeasible"
    folder.mkdir()
    (folder / "config.toml").write_text('seed = 5\ncases = []\ninfeasible = [{ reason = "no", design = "p2" }]\n')
    (folder / "summary.csv").write_text("design,sinr_db,trials,failed,status\np2,90.0,0,0,infeasible: at most 41 dB\n")
    page = _write(folder)
    assert "No point could be run." in page.words
    assert "1 point infeasible" in page.words
    assert page.grid("design") == [
        ["design", "SINR threshold [dB]", "infeasible because"],
        ["p2", "90", "at most 41 dB"],
    ]
    assert page.pairs()["seed"] == "5"


def test_failures_stand_with_keys_and_tracebacks(faulty):
    page = _write(faulty)
    assert "4 trials failed, listed below." in page.words
    with RunReader(faulty) as run:
        for number, point in enumerate(run.points()):
            for failed in run.failures(point.key):
                assert f"point {number}, trial {failed.trial} : {failed.failure.kind}" in page.words
                assert failed.failure.message in "".join(page.text)
                assert failed.failure.trace in "".join(page.text)
            assert str(point.key) in page.words
    assert "disac replay faulty.sqlite 0 1" in page.words
    assert "python campaign.py" in page.words


def test_means_of_any_experiment(faulty):
    page = _write(faulty)
    grid = page.grid("mean (standard error)")
    means = {row[0].split()[0]: row[1:] for row in grid[1:]}
    for place, (point, expected) in enumerate(show(faulty)):
        assert set(means) == set(expected)
        assert page.grid("#")[1 + place][1:4] == [f"{point.fields['snr_db']:g}", "8", "2"]
        for name, mean in expected.items():
            assert complex(means[name][place].split()[0]) == pytest.approx(mean.mean, rel=1e-3, abs=1e-12)
    assert "m^2" in next(row[0] for row in grid if row[0].startswith("squared_error"))


def test_many_points_stand_in_several_tables(tmp_path):
    path = tmp_path / "many"
    run_campaign(Noise(snr_db=tuple(map(float, range(12)))), path, seed=0, trials=2)
    tables = [table for table in _write(path).tables if table[0][0] == "mean (standard error)"]
    assert [name for table in tables for name in table[0][1:]] == [f"point {i}" for i in range(12)]


def test_a_failed_set_up_leaves_the_run_unfinished(tmp_path):
    path = tmp_path / "setup"
    run_campaign(Faulty(setup="raises"), path, seed=0, trials=3)
    page = _write(path)
    assert "Unfinished: 1 of 2 points complete" in page.words
    assert "point 0 : set-up failed" in page.words
    assert "Traceback" in page.words


def test_only_the_first_failures_are_listed(tmp_path):
    path = tmp_path / "bad"
    run_campaign(Faulty(snr_db=(0.0,), raises=tuple(range(130))), path, seed=0, trials=130, batch_size=65)
    found = collect(path)
    assert len(found.failures) == FAILURES_SHOWN
    assert found.omitted_failures == 30
    assert "130 trials failed" in _write(path).words


def test_a_reason_that_a_rerun_need_not_repeat_is_told(tmp_path):
    path = tmp_path / "timed"
    run_campaign(Noise(snr_db=(0.0,)), path, seed=0, stopping=TimeLimit(1e-9), trials=5000)
    assert "need not repeat" in _write(path).words


def test_a_run_that_is_being_written(link, tmp_path):
    path = tmp_path / "live"
    pages = []
    run_campaign(Noise(), path, seed=0, trials=4, batch_size=2, progress=lambda _: pages.append(_write(path)))
    assert "Running: 0 of 2 points complete; written by process" in pages[0].words
    assert pages[0].pairs()["trials"] == "2 at 2 points"
    assert "digest of the records" not in pages[0].pairs()


@dataclass(frozen=True)
class Hostile(Noise):
    """Text that breaks pages in every place where an experiment or a user may put text."""

    name = HOSTILE

    def points(self):
        return [{"snr_db": 0.0, HOSTILE: HOSTILE}, {"snr_db": 1.0, HOSTILE: "plain"}]

    def config(self):
        return {HOSTILE: HOSTILE}

    def one(self, scale, key):
        if key.trial == 1:
            raise ValueError(HOSTILE)
        return {HOSTILE.replace('"', ""): 1.0}


def test_hostile_text_stays_text(tmp_path):
    folder = tmp_path / "<b>&run"
    folder.mkdir()
    run_campaign(Hostile(), folder / "run.sqlite", seed=0, trials=2, rerun_line=HOSTILE)
    (folder / "config.toml").write_text(f"seed = 0\nradar = '''{HOSTILE}'''\n")
    (folder / "scenario-0.toml").write_text(f"nodes = '''{HOSTILE}'''\n")
    save_design_records(folder, [_record(solver=HOSTILE, status=HOSTILE, fields={HOSTILE: HOSTILE})])
    clean = tmp_path / "clean"
    run_campaign(Noise(), clean, seed=0, trials=2)
    page = _write(folder)
    assert page.tags <= _write(clean).tags | {"details", "summary", "strong", "h3", "li", "ul"}
    assert page.words.count("<script>alert(1)</script>") > 12
    assert "53743561" not in page.words


def test_hostile_summary_stays_text(link, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(link, folder)
    text = (folder / "summary.csv").read_text()
    cell = '"' + HOSTILE.replace('"', '""') + '"'
    (folder / "summary.csv").write_text(
        text.replace("8 trials asked for", cell, 1).replace("8 trials asked for", "enough")
    )
    (folder / f"{'x' * 5}<i>.svg").write_bytes((folder / "ber.svg").read_bytes())
    page = _write(folder)
    assert [row[-1] for row in page.grid("#")[1:]] == [HOSTILE, "enough"]
    assert "i" not in page.tags


def _record(**changes):
    numbers = ("lower_bound_m2", "relaxed_value_m2", "value_m2")
    record = {"fields": {"design": "p2"}, "status": "solved", "solver": "native", "least_sinr_db": 20.0}
    record |= dict.fromkeys(("gap", "extraction_loss", "residual"), 1e-9) | dict.fromkeys(numbers, 4e-6)
    return record | {"solve_seconds": 1.5} | changes


def test_certificates_are_shown_and_inaccurate_designs_told(link, tmp_path):
    folder = tmp_path / "designed"
    shutil.copytree(link, folder)
    save_design_records(folder, [_record(), _record(fields={"design": "p1"}, status="inaccurate", gap=float("inf"))])
    page = _write(folder)
    assert "1 of 2 designs inaccurate" in page.words
    first, second = (dict(zip(row_names, row, strict=True)) for row_names, row in _pairs_of(page.grid("design")))
    assert (first["status"], second["status"]) == ("solved", "inaccurate")
    assert first["lower bound [m]"] == first["sent [m]"] == "0.002"
    assert second["relative gap"] == "inf"


def _pairs_of(grid):
    return [(grid[0], row) for row in grid[1:]]


def test_the_record_of_a_design_is_its_certificate(tmp_path):
    from disac.designs import design
    from disac.simulator import Scenario

    scenario = Scenario.preset("fig4", targets=[[0.0, 5.0]], n_subcarriers=8)
    result = design("uniform", scenario, None)
    record = design_record(result, {"design": "uniform", "n_tx": 6})
    save_design_records(tmp_path, [record])
    assert load_design_records(tmp_path) == [record]
    assert record["value_m2"] == result.value
    assert record["status"] == result.status
    assert record["largest_power"] == pytest.approx(np.max(result.certificate.antenna_power) / scenario.tx_power)
    assert load_design_records(tmp_path / "elsewhere") == []


@dataclass(frozen=True)
class Designs(Noise):
    """Trials that are designs: trial 1 has a wide gap, trial 2 breaks a constraint, trial 3 is infeasible."""

    name = "designs"
    columns: ClassVar = {"gap": Column(required=False)}

    def one(self, scale, key):
        gap = {1: 1e-3, 3: float("nan")}.get(key.trial, 1e-8)
        return {"gap": gap, "residual": 1e-2 if key.trial == 2 else 0.0}


def test_inaccurate_trials_of_design_runs_are_counted(tmp_path):
    path = tmp_path / "designs"
    run_campaign(Designs(snr_db=(0.0,)), path, seed=0, trials=4)
    assert "2 of 3 designs inaccurate" in _write(path).words


def test_a_summary_of_other_columns_keeps_their_names(tmp_path):
    (tmp_path / "summary.csv").write_text(
        "snr_db,trials,failed,bias_m,bias_low_m,bias_high_m,stop_reason\n0.0,9,1,0.12345678,0.1,0.15,enough\n"
    )
    summary = Summary.read(tmp_path / "summary.csv")
    table = summary_table(summary, [])
    assert table.header == ("#", "bias_m", "trials", "failed")
    assert table.caption == "In all rows snr_db = 0. Stopped because: enough."
    assert [cell.text for cell in table.rows[0]] == ["–", "0.123", "9", "1"]
    assert table.rows[0][1].note == "[0.100, 0.150]"
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="trials"):
        Summary.read(tmp_path / "other.csv")


def test_a_folder_with_tables_alone_makes_a_report(tmp_path):
    """Averages of several files of records, as a part of the evaluation leaves them."""
    (tmp_path / "summary.csv").write_text(
        "design,snr_db,rmse_m,rmse_low_m,rmse_high_m,trials\np2,1,2.5,2,3,9\np3,1,4,3,5,9\n"
    )
    run_campaign(Designs(snr_db=(0.0,)), tmp_path / "p2.sqlite", seed=0, trials=1)
    page = _write(tmp_path)
    assert "p2.sqlite" in page.words
    assert page.grid("design") == [["design", "rmse [m]"], ["p2", "2.50 [2.00, 3.00]"], ["p3", "4.00 [3.0, 5.0]"]]
    assert "summary.csv. In all rows snr_db = 1, trials = 9. Brackets hold 95 % intervals." in page.words


def test_troubles_have_a_column_where_there_are_some(link, tmp_path):
    folder = tmp_path / "troubled"
    shutil.copytree(link, folder)
    calm = _write(folder)
    assert "Zero in all rows: gross errors, not converged, at the edge, missed by the search." in calm.words
    rows = Summary.read(folder / "summary.csv").rows
    lines = [
        ",".join(rows[0]),
        *(",".join((row | {"gross_errors": count}).values()) for row, count in zip(rows, "30", strict=True)),
    ]
    (folder / "summary.csv").write_text("\n".join(lines) + "\n")
    page = _write(folder)
    place = page.grid("#")[0].index("gross errors")
    assert [row[place] for row in page.grid("#")[1:]] == ["3", "0"]
    assert "3 estimates on another peak of the likelihood; kept in the RMSE." in page.words
    assert [attributes for _, attributes in page.elements if "marked" in attributes.get("class", "")]


def test_the_checks_of_this_file_can_fail():
    for broken in (
        "<p><b></p></b>",
        "<p>",
        "</p>",
        "<script></script>",
        '<img src="https://example.org/a.png">',
        '<img src="a.png">',
        '<p onclick="x"></p>',
        "<style>@import 'a.css';</style>",
    ):
        with pytest.raises(AssertionError):
            _check_complete_in_itself(broken)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--window-size=1280,1600",
]


def _browse(page, profile, *flags):
    """Output and console lines of a Chromium that opens ``page``; ended with all its processes after a minute."""
    with subprocess.Popen(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return out, [line for line in errors.splitlines() if "CONSOLE" in line]


@needs_browser
def test_a_browser_has_nothing_to_say(link, faulty, tmp_path):
    for name, run in (("link", link), ("faulty", faulty)):
        page = write_report(run, tmp_path / f"{name}.html")
        picture = tmp_path / f"{name}.png"
        _, console = _browse(page, tmp_path / "profile", f"--screenshot={picture}")
        assert console == []
        assert _width(picture) == 1280
    broken = tmp_path / "broken.html"
    broken.write_text("<!DOCTYPE html><script>missing()</script>")
    _, console = _browse(broken, tmp_path / "profile", "--dump-dom")
    assert len(console) == 1, "the check of the console cannot fail"


@needs_browser
def test_a_page_fits_the_desktop_and_shows_its_pictures(link, tmp_path):
    html = write_report(link, tmp_path / "page.html").read_text(encoding="utf-8")
    policy = re.search(r"<meta http-equiv=[^>]*>", html).group()
    measure = (
        "<script>onload = () => { const grid = document.querySelector('.scroll'); document.title = [ "
        "document.documentElement.scrollWidth, innerWidth, grid.scrollWidth - grid.clientWidth, "
        "[...document.images].filter(image => image.naturalWidth > 0).length ].join(' ') }</script></body>"
    )
    copy = tmp_path / "measured.html"
    copy.write_text(html.replace(policy, "").replace("</body>", measure), encoding="utf-8")
    dom, console = _browse(copy, tmp_path / "profile", "--dump-dom")
    width, window, hidden, images = map(int, re.search(r"<title>([\d ]+)</title>", dom).group(1).split())
    assert console == []
    assert width <= window
    assert hidden <= 0
    assert images == 3


def _width(png):
    return int.from_bytes(Path(png).read_bytes()[16:20], "big")
