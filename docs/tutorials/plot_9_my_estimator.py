"""
My estimator against maximum likelihood
=======================================

An estimator is built once with the scene and called with X and Y of every trial. The truth is withheld from it.
"""

# %%
# This one uses angles of arrival alone: each node finds the angle under which most power arrives, and least squares
# intersects the lines of sight. It is meant for one target.

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import crb, design
from disac.estimators import Estimate, estimator, register_estimator
from disac.simulator import Scenario, draw_streams, synthesize, transmit


@register_estimator("beam-crossing", label="crossing of beams")
class BeamCrossing:
    """Least-squares intersection of the strongest angles of arrival."""

    bound = "hybrid"

    def __init__(self, scenario):
        self.scenario = scenario
        self.angles = np.linspace(-np.pi / 2, np.pi / 2, 4001)[1:-1]
        self.steering = np.exp(1j * np.pi * np.outer(np.arange(scenario.n_rx), np.sin(self.angles)))

    def __call__(self, X, Y):
        s = self.scenario
        normals, offsets = [], []
        for node, orientation, samples in zip(s.nodes, s.orientations, Y, strict=True):
            power = np.sum(np.abs(self.steering.conj().T @ samples.reshape(s.n_rx, -1)) ** 2, axis=1)
            angle = self.angles[np.argmax(power)] + orientation
            normal = np.array([-np.sin(angle), np.cos(angle)])
            normals.append(normal)
            offsets.append(normal @ node)
        position, *_ = np.linalg.lstsq(np.array(normals), np.array(offsets), rcond=None)
        return Estimate(positions=position[None])


# %%
# Both see the same trials.

scene = Scenario.preset("fig7")
p2 = design("p2", scene, 20.0)
snrs_db = np.arange(-30.0, 21.0, 10.0)
errors = {"ml": [], "beam-crossing": []}
bounds = []
for snr_db in snrs_db:
    noisy = scene.replace(noise_sense=scene.tx_power / 10 ** (snr_db / 10))
    bounds.append(np.sqrt(np.trace(crb(noisy, p2.covariances, n_symbols=noisy.n_symbols))))
    built = {name: estimator(name)(noisy) for name in errors}
    squares = {name: [] for name in errors}
    for seed in range(15):
        rng = np.random.default_rng(seed)
        streams = draw_streams(noisy, p2.radar_precoders.shape[-1], order=4, bit_rng=rng, radar_rng=rng)
        X = transmit(p2.comm_precoders, p2.radar_precoders, streams)
        Y = synthesize(noisy, X, rng=rng)
        for name, estimate in built.items():
            squares[name].append(np.sum((estimate(X, Y).positions - noisy.targets) ** 2))
    for name, values in squares.items():
        errors[name].append(np.sqrt(np.mean(values)))

figure, ax = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
ax.semilogy(snrs_db, bounds, "k", label="hybrid bound")
for (name, values), marker in zip(errors.items(), "^s", strict=True):
    ax.semilogy(snrs_db, values, marker, label=name)
ax.set(xlabel=r"$P_T/\sigma^2$ [dB]", ylabel="root mean squared position error [m]")
ax.legend()
plt.show()

# %%
# With the class in a file ``mine.py``, intervals and a paired ratio come from one command::
#
#     disac run link --preset fig7 --import mine.py --estimator ml,beam-crossing
