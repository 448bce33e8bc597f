"""Tails of the quadratic forms of one noise level of an interval-error prediction, against the same rule in numpy.

Run as ``python benchmarks/quadratic_form.py``. The twin works on all forms at once, along the whole line, with complex
logarithms. Times are medians of turns taken in one process on one thread.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
from side_by_side import median_seconds

from disac.designs import design
from disac.experiments.theory.interval_errors import interval_errors
from disac.experiments.theory.quadratic_form import tail_and_slope
from disac.simulator import Scenario

LINE = np.arange(0.0, 14.0, 0.125)


def twin(w, d):
    """Tails of forms (S, I) of negative mean with a positive weight each."""
    scale = w.max(axis=1, keepdims=True)
    w = w / scale
    low, high = np.zeros(len(w)), np.ones(len(w))
    for _ in range(60):
        t = (low + high) / 2
        room = 1 - w * t[:, None]
        slope = np.sum(w / room + w * d / room**2, axis=1) - 1 / t
        low, high = np.where(slope < 0, t, low), np.where(slope < 0, high, t)
    room = 1 - w * t[:, None]
    width = 1 / np.sqrt(np.sum((w / room) ** 2 + 2 * d * w**2 / room**3, axis=1) + 1 / t**2)
    top = log_integrand(t[:, None] + 0j, w, d)
    ratio = np.exp(log_integrand(t[:, None] + 1j * width[:, None] * np.sinh(LINE), w, d) - top).real
    weight = np.where(LINE > 0, 1.0, 0.5) * np.cosh(LINE) * (LINE[1] - LINE[0]) / np.pi
    return np.exp(top[:, 0].real) * width * (ratio @ weight)


def log_integrand(t, w, d):
    """log(M(t) / t) on lines t (S, J)."""
    scaled = w[:, None, :] * t[..., None]
    return np.sum(d[:, None, :] * scaled / (1 - scaled) - np.log(1 - scaled), axis=-1) - np.log(t)


def main() -> None:
    print("Fig. 7's scene, P.2 at 20 dB; forms with a positive weight and a negative mean; times in milliseconds")
    print("  SNR [dB]  forms  weights |  kernel     twin  twin/kernel | largest relative difference")
    scenario = Scenario.preset("fig7")
    theory = interval_errors(scenario, design("p2", scenario, 20.0).covariances)
    for snr_db in (-56.0, -52.0, -44.0):
        energies = theory.energies * theory.n_subcarriers / (scenario.tx_power / 10 ** (snr_db / 10))
        w = np.concatenate([theory.sines, -theory.sines], axis=1)
        d = np.concatenate([energies * (1 - theory.sines) / 2, energies * (1 + theory.sines) / 2], axis=1)
        wanted = (w.max(axis=1) > 0) & (np.sum(w * (1 + d), axis=1) < 0)
        w, d = w[wanted], d[wanted]
        seconds = median_seconds({"kernel": lambda: tail_and_slope(w, d), "twin": lambda: twin(w, d)}, rounds=5)  # noqa: B023
        difference = np.max(np.abs(tail_and_slope(w, d)[0] / twin(w, d) - 1))
        fast, slow = 1e3 * seconds["kernel"], 1e3 * seconds["twin"]
        sizes = f"{snr_db:8.0f}  {len(w):5d}  {w.shape[1]:7d}"
        print(f"  {sizes} | {fast:7.2f}  {slow:7.1f}  {slow / fast:11.1f} | {difference:.1e}")


if __name__ == "__main__":
    main()
