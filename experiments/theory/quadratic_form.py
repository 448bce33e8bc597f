"""Tail probabilities of indefinite quadratic forms of complex Gaussian variables."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

RealArray = NDArray[np.float64]

_STEP = 0.125
_N_STEPS = 112
_SADDLE_STEPS = 200


def quadratic_form_tail(weights: ArrayLike, noncentralities: ArrayLike) -> RealArray:
    """Probability that sum_i weights_i abs(v_i)^2 > 0 for independent v_i ~ CN(m_i, 1).

    The moment generating function M is inverted exactly, P = 1/(2 pi j) int M(t) / t dt, along the vertical line
    through the saddle point of M(t) / t, where the trapezoidal rule in t = saddle + j scale sinh(u) converges
    exponentially; small probabilities keep their relative accuracy. A form of positive mean, whose integrand would turn
    too fast for the rule, is turned round: the probability that its negative is positive is taken from 1.

    Parameters
    ----------
    weights, noncentralities : (..., I) weights_i and abs(m_i)^2 on the last axis; weights of zero are ignored.

    Returns
    -------
    (...) probabilities; 0 or 1 where all weights have one sign, 1/2 where all are zero.
    """
    return tail_and_slope(weights, noncentralities)[0]


def tail_and_slope(weights: ArrayLike, noncentralities: ArrayLike) -> tuple[RealArray, RealArray]:
    """Tail probabilities (...) and saddle points (...), the rates at which they fall with the level, 0 without one."""
    w, d = np.broadcast_arrays(np.asarray(weights, dtype=float), np.asarray(noncentralities, dtype=float))
    forms = (-1, w.shape[-1])
    probability, slope = _tails(np.ascontiguousarray(w.reshape(forms)), np.ascontiguousarray(d.reshape(forms)))
    return probability.reshape(w.shape[:-1]), slope.reshape(w.shape[:-1])


@njit(cache=True, nogil=True, error_model="numpy")
def _tails(weights: RealArray, noncentralities: RealArray) -> tuple[RealArray, RealArray]:
    probability, slope = np.empty(len(weights)), np.zeros(len(weights))
    for g in range(len(weights)):
        largest, smallest = weights[g].max(), weights[g].min()
        if largest > 0 > smallest:
            d, w = noncentralities[g], weights[g] / largest
            t = _saddle(w, d)
            slope[g] = t / largest
            if np.sum(w * (1 + d)) <= 0:
                probability[g] = _invert(w, d, t)
            else:
                w = weights[g] / smallest
                probability[g] = 1 - _invert(w, d, _saddle(w, d))
        else:
            probability[g] = 1.0 if largest > 0 else (0.0 if smallest < 0 else 0.5)
    return probability, slope


@njit(cache=True, nogil=True, error_model="numpy")
def _saddle(w: RealArray, d: RealArray) -> float:
    """Where log(M(t) / t) is least in (0, 1), for weights whose largest is 1: Newton's method within a bracket."""
    low, high, t = 0.0, 1.0, 0.5
    for _ in range(_SADDLE_STEPS):
        slope, bend = -1 / t, 1 / t**2
        for i in range(len(w)):
            rate = w[i] / (1 - w[i] * t)
            part = d[i] / (1 - w[i] * t)
            slope += rate * (1 + part)
            bend += rate**2 * (1 + 2 * part)
        if slope < 0:
            low = t
        else:
            high = t
        newton = t - slope / bend
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - t) <= 1e-15 * t:
            break
        t = following
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(w: RealArray, d: RealArray, t: float) -> float:
    """The integral along the line through the saddle point t, relative to the integrand there.

    With a_i = w_i y / (1 - w_i t), M(t + jy) / M(t) = prod_i (1 + j a_i) / (1 + a_i^2)
    exp(d_i / (1 - w_i t) (j a_i - a_i^2) / (1 + a_i^2)). Its modulus only falls with y, so the sum can end early.
    """
    top, bend = -np.log(t), 1 / t**2
    room = 1 - w * t
    for i in range(len(w)):
        top += d[i] * w[i] * t / room[i] - np.log(room[i])
        bend += (w[i] / room[i]) ** 2 * (1 + 2 * d[i] / room[i])
    scale = 1 / np.sqrt(bend)
    total = 0.5
    for step in range(1, _N_STEPS):
        y = scale * np.sinh(step * _STEP)
        jacobian = np.cosh(step * _STEP)
        share = 1 / (1 + (y / t) ** 2)
        real, imag = share, -share * y / t
        decay, angle = 0.0, 0.0
        for i in range(len(w)):
            a = w[i] * y / room[i]
            share = 1 / (1 + a * a)
            real, imag = share * (real - a * imag), share * (imag + a * real)
            part = d[i] / room[i] * a * share
            decay += a * part
            angle += part
        modulus = np.exp(-decay) * jacobian
        total += modulus * (real * np.cos(angle) - imag * np.sin(angle))
        if modulus * np.hypot(real, imag) < 1e-18:
            break
    probability: float = np.exp(top) * total * scale * _STEP / np.pi
    return min(max(probability, 0.0), 1.0)
