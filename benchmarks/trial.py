"""A whole trial of the link (streams, echoes, localization, bounds, users) against drawing its noise alone with NumPy.

Run as ``python benchmarks/trial.py``. The noise of a trial is N M_r L T + U L T complex normals. Beside the time stands
what the trial achieves: root mean squared error over the realized root CRB in 100 trials.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
from side_by_side import median_seconds

from disac.designs import design
from disac.experiments.studies.link import LinkCase, LinkExperiment
from disac.experiments.trials.keys import TrialKey, point_key
from disac.simulator import Scenario


def main() -> None:
    print("Fig. 4's scene at P_T/sigma^2 = 20 dB, P.2 at 30 dB, QPSK; times per trial in milliseconds, one thread")
    print(" K   T |  trial   noise  trial/noise | RMSE/RCRB of 100 trials")
    for targets in ([[0.0, 0.0]], [[0.0, 0.0], [0.0, 10.0]]):
        base = Scenario.preset("fig4", targets=targets)
        result = design("p2", base, 30.0, solver="native")
        for n_symbols in (1, 16):
            scene = base.replace(n_symbols=n_symbols)
            case = LinkCase((("design", "p2"),), scene, result.comm_precoders, result.radar_precoders)
            experiment = LinkExperiment(cases=(case,), snr_db=(20.0,))
            point = experiment.points()[0]
            context = experiment.prepare(point)
            keys = iter(TrialKey(0, point_key(point), trial) for trial in range(10**9))
            n_samples = (scene.n_nodes * scene.n_rx + scene.n_users) * scene.n_subcarriers * n_symbols
            noise = np.empty(2 * n_samples)
            rng = np.random.Generator(np.random.Philox(0))
            seconds = median_seconds(
                {
                    "trial": lambda: context.run(next(keys)),  # noqa: B023
                    "noise": lambda: rng.standard_normal(out=noise),  # noqa: B023
                }
            )
            records = experiment.run(context, [TrialKey(1, point_key(point), trial) for trial in range(100)])
            ratio = np.sqrt(sum(r["sq_error_m2"] for r in records) / sum(r["crb_m2"] for r in records))
            trial_ms, noise_ms = 1e3 * seconds["trial"], 1e3 * seconds["noise"]
            times = f"{trial_ms:6.2f} {noise_ms:7.4f} {trial_ms / noise_ms:12.1f}"
            print(f"{len(targets):2d} {n_symbols:3d} | {times} | {ratio:.3f}")


if __name__ == "__main__":
    main()
