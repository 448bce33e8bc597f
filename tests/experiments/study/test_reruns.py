"""The line of every run's folder, run literally in an empty folder, gives the same summary byte for byte."""

import shlex

import pytest

from disac.experiments.study.protocol import study_names
from disac.testing.studies import help_names_options, rerun_repeats_the_run, settings_become_words

FIGURE = "--n-antennas 3 --draws 2"
PLAIN = "--design p2 --refined 0"
ONE = "--n-subcarriers 4 --n-targets 1 --n-users 1"
SCENE = (
    "--set n_tx=2 --set n_rx=2 --set n_subcarriers=8 --set n_symbols=2 --set 'nodes=[[-40.0, -12.0], [35.0, -20.0]]'"
)
NEAR = "--set 'area=[[-15.0, 15.0], [-10.0, 20.0]]'"
SMALLEST = {
    "fig4a": "--n-subcarriers 4 --sinr-db 0 --draws 2 --n-antennas 3 --bandwidth-hz 1e7",
    "fig4b": "--n-subcarriers 4 --sinr-db 0 --draws 2 --n-antennas 3,4",
    "fig5": f"{FIGURE} {PLAIN} --n-subcarriers 4 --n-targets 1 --n-users 1,2 --sinr-db 0",
    "fig6": f"{FIGURE} {PLAIN} --n-subcarriers 4 --n-targets 1,2 --sinr-db 0",
    "fig7": f"{FIGURE} {PLAIN} --n-subcarriers 4 --n-nodes 2 --sinr-db 0",
    "fig8": f"{FIGURE} {ONE} {PLAIN} --bandwidth-hz 1e7 --sinr-db 5",
    "fig9": f"{ONE} {PLAIN} --n-antennas 3 --sinr-db 5 --draws 2",
    "fig10": f"{FIGURE} --n-subcarriers 4 --design p1,p2 --slow-at 4 --slow-draws 1",
    "table3": f"{FIGURE} --n-subcarriers 4 --n-nodes 2 --design p2,p3 --slow-at ''",
    "verdict": "--scenes fig8-wide@5 --n-antennas 3 --n-subcarriers 4 --draws 2 --trials 4",
    "estimators": "--bandwidth-hz 1e7 --area-side-m '' --estimator ml,aoa-genie --sinr-db 0 --n-antennas 3 "
    "--n-subcarriers 4 --draws 2 --trials 2",
    "channels": "--scenes fig7-two --models independent,tdl-a@100 --sinr-db 5 --draws 2 --n-antennas 3 "
    "--n-subcarriers 4",
    "sidelobes": f"{SCENE} {NEAR} --design p3,p2,uniform --sinr-db 5 --symbols 2 --draws 2",
    "threshold": f"{SCENE} --design uniform,p2 --sinr-db 5 --offsets-db -3,1 --trials 4 --grid-step-m 4",
    "weak-target": f"{SCENE} {NEAR} --design p2,p3 --weaker-db 0,10 --other-places '' --sinr-db 5 --snr-db 0 "
    "--trials 4",
    "pareto": "--design p2 --sidelobe-db -4 --draws 2 --realizations 2 --localized 1 --set n_subcarriers=20 "
    "--set n_tx=2 --set n_rx=2 --set n_symbols=2",
    "ambiguity": f"{SCENE} {NEAR} --preset fig7 --design uniform --sinr-db -30 --step-m 2",
}
"""Options that make each study as small as it goes."""


@pytest.mark.parametrize("name", [name for name in study_names() if name != "link"])
def test_the_rerun_line_gives_the_same_summary(name, tmp_path):
    rerun_repeats_the_run(name, shlex.split(SMALLEST[name]), tmp_path)
    assert (tmp_path / "first" / f"{name}.png").is_file()


@pytest.mark.parametrize("name", study_names())
def test_settings_become_words_words_settings_and_help(name):
    settings_become_words(name)
    help_names_options(name)
