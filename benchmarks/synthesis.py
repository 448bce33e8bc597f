"""Synthesis of Eq. (6) against the same sum as matrix products, and a noisy trial against drawing its noise alone.

Run as ``python benchmarks/synthesis.py``. The twin gets its steering and delay factors for nothing and writes into a
kept array; ``copy`` is what moving X to Y alone costs. Times are medians of turns taken in one process on one thread.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
from side_by_side import median_seconds

from disac.simulator import Scenario, synthesize
from disac.simulator.steering import delay_vector, steering_vector


def matrix_product_twin(scenario, out):
    """A function X -> Y that is Eq. (6) as batched matrix products over targets, links and antennas."""
    geometry = scenario.target_geometry
    steer_tx = steering_vector(geometry.angle, scenario.n_tx)
    steer_rx = steering_vector(geometry.angle, scenario.n_rx).swapaxes(-1, -2).copy()
    delay = delay_vector(geometry.delay_s, scenario.n_subcarriers, scenario.bandwidth_hz)[..., None]
    delay_by_target = delay.swapaxes(0, 1).copy()
    amplitudes = scenario.amplitudes.transpose(2, 0, 1).copy()

    def twin(X):
        *batch, n, m, lines, t = X.shape
        k = scenario.n_targets
        at_targets = (steer_tx @ X.reshape(*batch, n, m, lines * t)).reshape(*batch, n, k, lines, t) * delay
        links = amplitudes @ at_targets.swapaxes(-4, -3).reshape(*batch, k, n, lines * t)
        arriving = (links.reshape(*batch, k, n, lines, t) * delay_by_target).swapaxes(-4, -3)
        flat = out.reshape(*batch, n, scenario.n_rx, lines * t)
        np.matmul(steer_rx, arriving.reshape(*batch, n, k, lines * t), out=flat)
        return out

    return twin


def main() -> None:
    rng = np.random.default_rng(0)
    print("Fig. 4's scene, N = 4, K = 2, M_t = M_r = 6; times per trial in microseconds")
    print(
        "   L   T  trials |  kernel    twin    copy  twin/kernel  rel. error | "
        "complex64  rel. error |  noisy  noise  noisy/noise"
    )
    for n_subcarriers in (16, 256):
        for n_symbols in (1, 16):
            scenario = Scenario.preset("fig4", n_subcarriers=n_subcarriers, n_symbols=n_symbols)
            for n_trials in (1, 32):
                shape = (n_trials, 4, 6, n_subcarriers, n_symbols)
                X = rng.standard_normal((*shape, 2)).view(complex)[..., 0]
                single = X.astype(np.complex64)
                out, single_out, twin_out = np.empty_like(X), np.empty_like(single), np.empty_like(X)
                noise = np.empty((*shape, 2))
                twin = matrix_product_twin(scenario, twin_out)
                cases = {
                    "kernel": lambda: synthesize(scenario, X, out=out),  # noqa: B023
                    "twin": lambda: twin(X),  # noqa: B023
                    "copy": lambda: np.copyto(twin_out, X),  # noqa: B023
                    "complex64": lambda: synthesize(scenario, single, out=single_out),  # noqa: B023
                    "noisy": lambda: synthesize(scenario, X, rng=rng, out=out),  # noqa: B023
                    "noise": lambda: rng.standard_normal(out=noise),  # noqa: B023
                }
                micro = {name: 1e6 * seconds / n_trials for name, seconds in median_seconds(cases).items()}
                reference = twin(X)
                scale = np.abs(reference).max()
                error = np.abs(synthesize(scenario, X, out=out) - reference).max() / scale
                single_error = np.abs(synthesize(scenario, single, out=single_out) - reference).max() / scale
                print(
                    f"{n_subcarriers:4d} {n_symbols:3d} {n_trials:7d} | {micro['kernel']:7.1f} {micro['twin']:7.1f} "
                    f"{micro['copy']:7.1f} {micro['twin'] / micro['kernel']:12.2f} {error:11.1e} | "
                    f"{micro['complex64']:9.1f} {single_error:11.1e} | {micro['noisy']:6.0f} {micro['noise']:6.0f} "
                    f"{micro['noisy'] / micro['noise']:12.2f}"
                )


if __name__ == "__main__":
    main()
