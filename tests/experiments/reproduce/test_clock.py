"""How long the studies of ``disac reproduce`` took."""

import pytest

from disac.experiments.reproduce.clock import Clock, read_times


def test_the_clock_adds_up_over_interruptions(tmp_path):
    def interrupted():
        with Clock(tmp_path).section("fig5"):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    (item,) = read_times(tmp_path)
    assert item.name == "fig5"
    assert item.wall_s >= 0.0
    with Clock(tmp_path).section("fig6"):
        pass
    assert [item.name for item in read_times(tmp_path)] == ["fig5", "fig6"]
