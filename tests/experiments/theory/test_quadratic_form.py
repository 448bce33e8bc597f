"""Tails of quadratic forms against closed forms, simulation and a plain numpy twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ive
from scipy.stats import f as fisher_snedecor
from scipy.stats import ncx2

from disac.experiments.theory.quadratic_form import quadratic_form_tail, tail_and_slope


def twin(w, d):
    """Tail and saddle point of one form: complex logarithms on a long, dense line, the saddle point by bisection."""

    def log_integrand(t):
        scaled = np.multiply.outer(t, w)
        return np.sum(d * scaled / (1 - scaled) - np.log(1 - scaled), axis=-1) - np.log(t)

    def slope(t):
        return np.sum(w / (1 - w * t) + w * d / (1 - w * t) ** 2) - 1 / t

    end = 1 / w.max()
    saddle = brentq(slope, 1e-12 * end, (1 - 1e-12) * end, xtol=1e-15 * end, rtol=1e-15)
    curvature = np.sum((w / (1 - w * saddle)) ** 2 + 2 * d * w**2 / (1 - w * saddle) ** 3) + 1 / saddle**2
    u = np.arange(0.0, 14.0, 1 / 512)
    line = saddle + 1j * np.sinh(u) / np.sqrt(curvature)
    weight = np.where(u > 0, 1.0, 0.5) * np.cosh(u) / np.sqrt(curvature) * (u[1] - u[0])
    return float(np.exp(log_integrand(line)).real @ weight / np.pi), saddle


@pytest.mark.parametrize("size", [2, 9, 33])
@pytest.mark.parametrize("energy", [0.0, 1.0, 30.0, 300.0])
def test_kernel_is_its_twin(size, energy):
    rng = np.random.default_rng(size)
    w = rng.uniform(-1, 1, (20, size)) * 10.0 ** rng.uniform(-3, 1, (20, 1))
    w[:, 0], w[:, 1] = np.abs(w[:, 0]), -np.abs(w[:, 1])
    d = energy * rng.exponential(size=(20, size))
    probability, slope = tail_and_slope(w, d)
    expected = np.array([twin(*pair) for pair in zip(w, d, strict=True)])
    assert probability == pytest.approx(expected[:, 0], rel=1e-9, abs=0)
    assert 1 - quadratic_form_tail(-w, d) == pytest.approx(expected[:, 0], rel=1e-9, abs=1e-14)
    assert slope == pytest.approx(expected[:, 1], rel=1e-9)


@pytest.mark.parametrize(("energy", "cosine"), [(2.0, 0.3), (30.0, 0.5), (60.0, 0.9), (200.0, 0.1)])
def test_one_link_is_decided_with_the_error_rate_of_noncoherent_detection(energy, cosine):
    """Proakis' formula for two correlated signals of unknown phase, relative accuracy far into the tail."""
    s = np.sqrt(1 - cosine**2)
    a, b = np.sqrt(energy * (1 - s) / 2), np.sqrt(energy * (1 + s) / 2)
    expected = ncx2.sf(b * b, 2, a * a) - 0.5 * np.exp(-((a - b) ** 2) / 2) * ive(0, a * b)
    tail = quadratic_form_tail([s, -s], [energy * (1 - s) / 2, energy * (1 + s) / 2])
    assert tail == pytest.approx(expected, rel=1e-9, abs=1e-18)


@pytest.mark.parametrize(
    ("plus", "minus", "ratio"), [(1, 1, 1.0), (3, 2, 0.4), (8, 8, 0.05), (2, 3, 4.0), (8, 4, 30.0)]
)
def test_central_forms_follow_the_f_distribution(plus, minus, ratio):
    weights = [ratio] * plus + [-1.0] * minus
    expected = fisher_snedecor.sf(minus / (plus * ratio), 2 * plus, 2 * minus)
    assert quadratic_form_tail(weights, np.zeros(plus + minus)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.statistical(false_alarm=1e-10)
def test_unequal_weights_with_means_by_simulation():
    weights = np.array([1.0, 0.3, -0.7, -1.0, 0.5, 0.0])
    means = np.array([0.3, 1.0, 4.0, 2.0, 0.5, 9.0])
    rng = np.random.default_rng(0)
    v = (rng.standard_normal((200_000, 6)) + 1j * rng.standard_normal((200_000, 6))) / np.sqrt(2) + np.sqrt(means)
    seen = np.mean((np.abs(v) ** 2) @ weights > 0)
    expected = quadratic_form_tail(weights, means)
    tolerance = 6.5 * np.sqrt(expected * (1 - expected) / 200_000)
    assert abs(seen - expected) < tolerance
    assert not abs(seen - quadratic_form_tail(weights, 1.1 * means)) < tolerance


def test_forms_of_one_sign_and_none():
    assert quadratic_form_tail([[1.0, 2.0], [-1.0, 0.0], [0.0, 0.0]], np.ones(2)).tolist() == [1.0, 0.0, 0.5]
