"""The Pareto sweep: its points, what a record says recomputed by hand, its statistics and its command."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from disac.designs import crb, design
from disac.experiments.cli.main import cli
from disac.experiments.runs.tables import read_csv, write_csv
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.studies.pareto import judge_pareto, plot_pareto, summarize_pareto, summary_lines
from disac.experiments.studies.pareto_sweep import ParetoSweep, pareto_scene
from disac.experiments.trials.keys import TrialKey
from disac.simulator import Scenario


@pytest.fixture(scope="module")
def sweep():
    scene = pareto_scene().replace(n_tx=2, n_rx=2, n_subcarriers=20, n_symbols=4)
    return ParetoSweep(scene, ("p2",), (10.0,), (-6.0, -40.0), realizations=4, localized=1)


def test_points_pair_every_level_with_its_design(sweep):
    assert sweep.points() == [
        {"design": "uniform"},
        {"design": "p2", "sinr_db": 10.0},
        {"design": "p4-p2", "sinr_db": 10.0, "sidelobe_db": -6.0},
        {"design": "p4-p2", "sinr_db": 10.0, "sidelobe_db": -40.0},
    ]


def test_a_record_says_what_its_design_does(sweep):
    key = TrialKey(3, 5, 0)
    limited, refused = (sweep.run(point, [key])[0] for point in sweep.points()[2:])
    scene = sweep.drawn(key)
    np.testing.assert_allclose(np.abs(scene.amplitudes[..., 1]) / np.abs(scene.amplitudes[..., 0]), 10**-0.5)
    result = design("p4-p2", scene, 10.0, sidelobe_db=-6.0)
    assert limited["rcrb_m"] == pytest.approx(result.rcrb_m, rel=1e-6)
    assert limited["pslr_db"] == pytest.approx(-6.0, abs=1e-3)
    assert limited["crb_m2"] == pytest.approx(np.trace(crb(scene, result.covariances)) / 4, rel=1e-6)
    assert limited["looks"] == 8
    assert 0 <= limited["detected"] <= 8
    assert limited["sq_error_m2"] > 0
    assert not refused["feasible"]
    dolph = -20 * np.log10(np.cosh(9 * np.arccosh(1 / np.cos(np.pi / 10))))
    assert refused["lowest_db"] == pytest.approx(dolph, abs=2e-3)


def test_a_lone_strong_echo_is_not_the_weak_one_and_a_strong_weak_one_is_found(sweep):
    """Equal power, no noise to speak of: a weak target at the strong one's power is found, one far below is not."""
    quiet = sweep.scenario.replace(noise_sense=1e-9, n_subcarriers=32, n_tx=4, n_rx=4, n_symbols=16)
    rates = []
    for weak_db in (0.0, -60.0):
        here = ParetoSweep(quiet, ("p2",), (10.0,), weak_db=weak_db, realizations=8, localized=0)
        record = here.run({"design": "uniform"}, [TrialKey(1, 1, 0)])[0]
        rates.append(record["detected"] / record["looks"])
    assert rates[0] >= 0.9
    assert rates[1] <= 0.2


def made_up(name, sidelobe_db, rcrb, detected, feasible=(True, True, True)):
    fields = {"design": name, "sinr_db": 10.0} | ({} if sidelobe_db is None else {"sidelobe_db": sidelobe_db})
    n = len(rcrb)
    columns = {
        "trial": np.arange(n),
        "feasible": np.array(feasible),
        "rcrb_m": np.array(rcrb),
        "gap": np.full(n, 1e-8),
        "pslr_db": np.full(n, sidelobe_db or 0.0),
        "realized_pslr_db": np.full(n, sidelobe_db or 0.0),
        "looks": np.full(n, 10.0),
        "detected": np.array(detected, dtype=float),
        "localized": np.full(n, 2.0),
        "sq_error_m2": np.array(rcrb) ** 2,
        "crb_m2": np.array(rcrb) ** 2 / 2,
        "lowest_db": np.where(feasible, np.nan, -15.0),
    }
    return PointDraws(fields, columns)


def test_summary_compares_draw_by_draw(tmp_path):
    points = [
        made_up("p2", None, [1.0, 2.0, 4.0], [0, 1, 0]),
        made_up("p4-p2", -10.0, [1.2, 2.0, 4.8], [10, 9, 10], feasible=(True, False, True)),
    ]
    free, limited = summarize_pareto(points)
    assert free["rcrb_ratio"] == pytest.approx(1.0)
    assert limited["rcrb_ratio"] == pytest.approx(1.2)
    assert (limited["draws"], limited["infeasible_draws"]) == (2, 1)
    assert limited["highest_lowest_db"] == -15.0
    assert free["detection"] == pytest.approx(1 / 30)
    assert free["detection_low"] < free["detection"] < free["detection_high"]
    assert limited["detection"] == 1.0
    assert limited["rmse_m"] == pytest.approx(np.sqrt((1.2**2 + 4.8**2) / 4))
    assert limited["rcrb_t_m"] == pytest.approx(limited["rmse_m"])
    lines = list(summary_lines([free, limited]))
    assert "sidelobes at -10 dB" in lines[1]
    assert all(path.stat().st_size > 1000 for path in plot_pareto([free, limited], tmp_path / "front"))


def test_wrong_settings_are_refused():
    scene = pareto_scene()
    for fields, said in (
        ({"designs": ("p4",)}, "designs = 'p4': must be one of p1, p2, p3"),
        ({"sidelobe_db": (3.0,)}, r"sidelobe_db = 3.0: must be within \[-300, 0\) dB"),
        ({"localized": 60}, r"localized = 60: must be in \[0, 50\]"),
        ({"weak_db": 1.0}, r"weak_db = 1.0: must be within \[-100, 0\] dB"),
    ):
        with pytest.raises(ValueError, match=said):
            ParetoSweep(scene, **fields)
    with pytest.raises(ValueError, match="must have 2"):
        ParetoSweep(Scenario.preset("fig7"))


def test_the_command_resumes_to_the_same_table(tmp_path):
    options = ["run", "pareto", "--quick", "--draws", "1", "--sidelobe-db", "-6", "--localized", "0", "--workers", "1"]
    options += ["--set", "n_subcarriers=20", "--set", "n_tx=2", "--set", "n_rx=2", "--set", "n_symbols=2"]
    first = CliRunner().invoke(cli, [*options, "--out", str(tmp_path / "run")])
    assert first.exit_code == 0, first.output
    table = (tmp_path / "run" / "summary.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["design"] for row in rows] == ["uniform", "p2", "p4-p2"]
    assert float(rows[2]["pslr_db"]) == pytest.approx(-6.0, abs=1e-3)
    assert (tmp_path / "run" / "pareto.png").stat().st_size > 1000
    again = CliRunner().invoke(cli, ["run", "pareto", "--resume", str(tmp_path / "run")])
    assert again.exit_code == 0, again.output
    assert (tmp_path / "run" / "summary.csv").read_text() == table


def test_the_finding_follows_the_intervals(tmp_path):
    many = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95]
    equal = PointDraws(
        {"design": "uniform"}, {**made_up("uniform", None, [3 * x for x in many], [10] * 6, (True,) * 6).columns}
    )
    for detected, verdict in (([10, 9, 10, 10, 9, 10], "confirmed"), ([1, 0, 1, 0, 1, 0], "undecided")):
        points = [
            equal,
            made_up("p2", None, many, [0, 1, 0, 0, 1, 0], (True,) * 6),
            made_up("p4-p2", -13.0, [1.3 * x for x in many], detected, (True,) * 6),
        ]
        write_csv(summarize_pareto(points), tmp_path / "summary.csv")
        (finding,) = judge_pareto(read_csv(tmp_path / "summary.csv"))
        assert finding.verdict == verdict
        assert "p4-p2 at -13 dB: RCRB 1.300" in finding.effect
    assert judge_pareto([]) == []
