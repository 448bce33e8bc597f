"""An estimator in a file of the user's: on the command line, in the summary and its pairs, in a report and a replay."""

import csv
import shlex

from click.testing import CliRunner

from disac.experiments.cli.main import cli

MINE = '''
import numpy as np
from disac.estimators import Estimate, Localizer, NoEstimate, register_estimator

@register_estimator("half-hearted", label="half-hearted ML")
class HalfHearted:
    """Maximum likelihood with an error of its own, and refusals by the sign of a sample."""

    def __init__(self, scenario):
        assert np.isnan(scenario.targets).all()
        self.localizer = Localizer(scenario)

    def __call__(self, X, Y):
        if Y.ravel()[0].real < 0:
            raise NoEstimate("not today")
        return Estimate(positions=self.localizer(X, Y).positions + 0.01)
'''


def _invoke(*words):
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_an_estimator_in_a_file_runs_beside_others(tmp_path):
    mine, out = tmp_path / "half_hearted.py", tmp_path / "run"
    mine.write_text(MINE)
    options = "--set targets=[[1.0,2.0]] --set n_tx=2 --set n_rx=2 --set n_symbols=4 --design uniform --sinr-db -10"
    told = _invoke(
        *("run", "link", "--import", mine, "--estimator", "ml,half-hearted,two-step", "--snr-db", "20"),
        *(*shlex.split(options), "--trials", 12, "--workers", 2, "--out", out),
    )
    assert "estimator ml:" in told
    with (out / "summary.csv").open() as file:
        rows = {row["estimator"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["ml", "half-hearted", "two-step"]
    ml, own = rows["ml"], rows["half-hearted"]
    assert (ml["trials"], ml["failed"], ml["paired_with"]) == ("12", "0", "")
    assert 0 < int(own["failed"]) < 12
    assert int(own["trials"]) + int(own["failed"]) == 12
    assert (own["paired_with"], own["paired_trials"]) == ("estimator ml", own["trials"])
    assert float(own["paired_ratio_low"]) > 1
    assert float(own["rcrb_expected_m"]) == float(ml["rcrb_expected_m"])
    _invoke("report", out)
    page = (out / "report.html").read_text()
    assert "half-hearted" in page
    assert "paired ratio" in page
    assert "identical" in _invoke("replay", out / "run.sqlite", 0, 3)
