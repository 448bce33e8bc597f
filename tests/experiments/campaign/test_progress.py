"""The progress display: plain lines where there is no terminal, and the ratio that it shows."""

from types import SimpleNamespace

import pytest

from disac.experiments.campaign.progress import CampaignBar

RATIO = ("sq_error_m2", "crb_m2", "RMSE/RCRB")


def _progress(point_index, rows, trials, elapsed_s=0.0):
    return SimpleNamespace(
        point={"snr_db": 10.0 * point_index},
        point_index=point_index,
        n_points=2,
        trials=trials,
        rows=tuple({"sq_error_m2": e, "crb_m2": c} for e, c in rows),
        done=trials,
        expected=20,
        elapsed_s=float(elapsed_s),
    )


def test_a_line_every_tenth_without_control_characters(capsys):
    with CampaignBar(ratio=RATIO) as bar:
        for trials in range(1, 21):
            bar(_progress(0, [(2.0, 1.0)], trials))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("2 of 20 trials")
    assert lines[-1].endswith("point 1 of 2, 20 trials: RMSE/RCRB 1.414 [1.414, 1.415]")
    assert all(ord(c) >= 32 for line in lines for c in line)


def test_points_that_take_turns_keep_their_own_errors(capsys):
    with CampaignBar(ratio=RATIO) as bar:
        bar(_progress(0, [(1.0, 1.0)] * 10, 10))
        bar(_progress(1, [(4.0, 1.0)] * 2, 12))
        bar(_progress(0, [(1.0, 1.0)] * 10, 20))
    assert capsys.readouterr().err.splitlines()[-1].endswith("RMSE/RCRB 1.000 [1.000, 1.000]")


def test_the_rest_is_projected_once_without_the_compiling_start(capsys):
    with CampaignBar(ratio=RATIO) as bar:
        bar(_progress(0, [(1.0, 1.0)], 1, elapsed_s=25))
        bar(_progress(0, [(1.0, 1.0)], 3, elapsed_s=29))
        bar(_progress(0, [(1.0, 1.0)], 5, elapsed_s=33))
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("still to come")]
    assert len(told) == 1
    assert "17 trials: about 34 s" in told[0]


def test_the_interval_holds_the_ratio_and_shrinks(capsys):
    widths = []
    for repeats in (4, 400):
        with CampaignBar(ratio=RATIO) as bar:
            bar(_progress(0, [(0.5, 1.0), (1.5, 1.0)] * repeats, 20))
        text = capsys.readouterr().err.splitlines()[-1]
        low, high = (float(part) for part in text[text.index("[") + 1 : text.index("]")].split(","))
        assert low < 1.0 < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 10, rel=0.2)
