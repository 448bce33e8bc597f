"""Samples of any size: the same positions, or an error of ours; no error of a library."""

from __future__ import annotations

import numpy as np
import pytest

from disac.estimators import MODES, Localizer, NoEstimate, localize, sufficient_statistics
from disac.simulator import Scenario, synthesize

SCENE = Scenario(
    nodes=[[-40.0, -12.0], [35.0, -20.0]],
    targets=[[3.0, 4.0]],
    users=[[0.0, -20.0]],
    n_tx=3,
    n_rx=3,
    n_subcarriers=8,
    n_symbols=4,
    bandwidth_hz=20e6,
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    own = np.arange(2)[:, None] == SCENE.subcarrier_node
    X = (rng.standard_normal((2, 3, 8, 4)) + 1j * rng.standard_normal((2, 3, 8, 4))) * own[:, None, :, None]
    return X, synthesize(SCENE, X, rng=rng)


@pytest.mark.parametrize("received", [2.0**-440, 1.0, 2.0**440])
@pytest.mark.parametrize("sent", [2.0**-440, 2.0**-40, 2.0**440])
def test_powers_of_two_change_no_digit_of_the_positions(data, sent, received):
    X, Y = data
    usual, other = localize(SCENE, X, Y), localize(SCENE, sent * X, received * Y)
    assert other.positions.tobytes() == usual.positions.tobytes()
    np.testing.assert_allclose(other.amplitudes, usual.amplitudes * (received / sent), rtol=1e-12)
    assert other.criterion == pytest.approx(usual.criterion * received**2, rel=1e-12)
    assert other.noise_variance == pytest.approx(usual.noise_variance * received**2, rel=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("sent", "received"), [(1e-100, 1.0), (1.0, 1e-100), (1e-100, 1e-100), (1e100, 1e-100)])
def test_scaled_data_give_the_same_positions_in_every_mode(data, mode, sent, received):
    X, Y = data
    usual, other = (localize(SCENE, a * X, b * Y, mode=mode) for a, b in ((1.0, 1.0), (sent, received)))
    np.testing.assert_allclose(other.positions, usual.positions, atol=1e-7)
    localizer = Localizer(SCENE, mode)
    statistics = sufficient_statistics(sent * X, received * Y)
    assert not localizer.missed(statistics, localizer.from_statistics(statistics), SCENE.targets)


@pytest.mark.parametrize("factor", [1e-150, 1e-300, 1e150, 1e300])
@pytest.mark.parametrize("name", ["X", "Y"])
def test_samples_whose_squares_are_no_numbers_are_named(data, name, factor):
    scaled = {key: value * (factor if key == name else 1.0) for key, value in zip("XY", data, strict=True)}
    with pytest.raises(ValueError, match=f"{name}: its largest part is .*, must be 0 or within"):
        localize(SCENE, **scaled)


@pytest.mark.parametrize("factor", [1e-30, 1e-100, 1e-160, 1e-300])
@pytest.mark.parametrize("mode", MODES)
def test_a_node_that_hardly_sends_ends_in_an_estimate_or_none(data, mode, factor):
    X, Y = data
    X = X * np.array([1.0, factor])[:, None, None, None]
    try:
        estimate = localize(SCENE, X, Y, mode=mode)
    except NoEstimate:
        return
    assert np.isfinite(estimate.positions).all()


@pytest.mark.parametrize("mode", MODES)
def test_silence_is_no_estimate(data, mode):
    X, Y = data
    for sent, heard in ((0 * X, Y), (X, 0 * Y), (0 * X, 0 * Y)):
        with pytest.raises(NoEstimate):
            localize(SCENE, sent, heard, mode=mode)
