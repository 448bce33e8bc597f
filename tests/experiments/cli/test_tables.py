"""Tables of the terminal at any width: no number is split or cut."""

import re

import pytest

from disac.experiments.cli.study import print_table

HEADER = ["design", "SNR [dB]", "RMSE [m] (95 %)", "RCRB realized", "expected", "ratio (95 %)", "BER (95 %)", "trials"]
ROW = [
    "p2",
    "20",
    "0.001341 [0.001289, 0.001399]",
    "0.001359",
    "0.001360",
    "0.987 [0.949, 1.029]",
    "< 5.9e-4",
    "200",
]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_number_is_split_or_cut(width, monkeypatch, capsys):
    """RMSE 0.001341 and bound 0.001359 both began "0.0013" where cells were folded."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(HEADER, [ROW, ROW])
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    for text in (*HEADER, *ROW):
        assert sum(text in line for line in lines) >= 1, text
    assert all(len(line) <= width for line in lines)
