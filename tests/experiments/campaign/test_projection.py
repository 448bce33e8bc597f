"""Projection of time and disk: arithmetic, row sizes against real run files, words."""

import pytest
from campaigns import Noise

from disac.experiments.campaign.projection import Projection, duration_text, project, row_bytes, size_text
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs.store import RunReader


def test_work_is_shared_and_the_last_worker_decides():
    one = project(1001, seconds_per_trial=0.5, bytes_per_row=200.0)
    two = project(1001, seconds_per_trial=0.5, bytes_per_row=200.0, workers=2)
    assert one.seconds == 500.5
    assert two.seconds == 250.5
    assert one.bytes == two.bytes == 200200.0


def test_nothing_left_takes_nothing():
    assert project(0, seconds_per_trial=1.0, bytes_per_row=1.0) == Projection(0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"trials": -1}, "trials"),
        ({"seconds_per_trial": float("nan")}, "seconds_per_trial"),
        ({"seconds_per_trial": float("inf")}, "seconds_per_trial"),
        ({"bytes_per_row": -0.1}, "bytes_per_row"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_numbers_are_named(change, name):
    numbers = {"trials": 10, "seconds_per_trial": 1.0, "bytes_per_row": 1.0} | change
    with pytest.raises(ValueError, match=name):
        project(**numbers)


def test_size_of_a_value_follows_the_record_format():
    empty = row_bytes({})
    share = row_bytes({"x": 0.5}) - empty
    assert share > 0
    for value, size in ((True, 1), (0, 1), (1, 1), (2, 2), (127, 2), (128, 3), (-129, 3), (1 << 30, 5), (1 << 40, 7)):
        assert row_bytes({"x": value}) - empty == pytest.approx(share * size / 9), value
    assert row_bytes({"x": float("nan")}) - empty == pytest.approx(share / 9)
    assert row_bytes({"x": 3.0}) - empty == pytest.approx(share)
    assert row_bytes({"x": 1j}) - empty == pytest.approx(2 * share)
    assert row_bytes({"x": "é" * 20}) - empty == pytest.approx(share * 41 / 9)


@pytest.mark.parametrize(("n_points", "trials"), [(1, 2000), (5, 600)])
def test_row_bytes_is_the_growth_of_a_real_file(tmp_path, n_points, trials):
    sizes = []
    for count in (10, trials):
        path = tmp_path / f"run-{count}"
        run_campaign(Noise(snr_db=tuple(map(float, range(n_points)))), path, seed=1, trials=count, batch_size=50)
        sizes.append(path.stat().st_size)
    with RunReader(path) as run:
        records = [record for point in run.points() for _, record in run.records(point.key)]
    pilot = sum(map(row_bytes, records[:50])) / 50
    expected = project(n_points * (trials - 10), seconds_per_trial=0.0, bytes_per_row=pilot).bytes
    assert sizes[1] - sizes[0] == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (5 * 3600 + 600, "5 h 10 min"),
        (51 * 3600, "2 d 3 h"),
    ],
)
def test_durations_in_words(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (640, "640 B"), (999.6, "1 kB"), (53248, "53 kB"), (1.24e6, "1.2 MB"), (2.5e14, "250 TB")],
)
def test_sizes_in_words(size, text):
    assert size_text(size) == text


def test_one_line_for_people():
    assert str(project(2000, seconds_per_trial=0.1, bytes_per_row=600.0)) == "2000 trials: about 3 min 20 s and 1.2 MB"
    assert str(project(1, seconds_per_trial=0.1, bytes_per_row=600.0)) == "1 trial: about 0.1 s and 600 B"
