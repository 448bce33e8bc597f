"""
First link in five minutes
==========================

A scene, a design, its waveform, the echoes, an estimate, and the bound that the estimate is held against.
"""

# %%
# The scene of the paper's Fig. 4: four nodes round two targets and two users.

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import crb, design
from disac.estimators import Localizer
from disac.simulator import Scenario, draw_streams, synthesize, transmit

scene = Scenario.preset("fig4")
print(scene.describe())

# %%
# Design P.2 asks for 20 dB of SINR at every user on every subcarrier. What it returns proves itself: the gap between a
# feasible point and a verified lower bound is printed with it.

p2 = design("p2", scene, sinr_db=20.0)
print(f"{p2.status}: RCRB {1e3 * p2.rcrb_m:.2f} mm in one symbol, gap {p2.gap:.1e}")

# %%
# A trial draws bits, radar sequences and noise. One array X carries both the users' bits and the echoes.

localizer = Localizer(scene)


def one_trial(seed):
    """Position estimates of one trial."""
    rng = np.random.default_rng(seed)
    streams = draw_streams(scene, p2.radar_precoders.shape[-1], order=4, bit_rng=rng, radar_rng=rng)
    X = transmit(p2.comm_precoders, p2.radar_precoders, streams)
    Y = synthesize(scene, X, rng=rng)
    return localizer(X, Y).positions


estimates = np.array([one_trial(seed) for seed in range(60)])

# %%
# Estimates scatter round each target as the bound says: the ellipse holds 39 % of them, one standard deviation of a
# plane.

bound = crb(scene, p2.covariances, n_symbols=scene.n_symbols)
figure, axes = plt.subplots(1, 2, figsize=(7.0, 3.4), layout="constrained")
angles = np.linspace(0, 2 * np.pi, 100)
circle = np.stack([np.cos(angles), np.sin(angles)])
for k, (ax, target) in enumerate(zip(axes, scene.targets, strict=True)):
    nearest = np.argmin(np.linalg.norm(estimates - target, axis=2), axis=1)
    errors_mm = 1e3 * (estimates[np.arange(len(estimates)), nearest] - target)
    own = np.ix_([k, 2 + k], [k, 2 + k])
    ellipse = 1e3 * np.linalg.cholesky(bound[own]) @ circle
    ax.plot(*errors_mm.T, "k.", markersize=3, label="estimates")
    ax.plot(*ellipse, color="#0072B2", label="Cramér–Rao bound")
    ax.set(title=f"target {k}", xlabel="error in x [mm]", ylabel="error in y [mm]", aspect="equal")
axes[0].legend(loc="upper right")
plt.show()

# %%
# The same with hundreds of trials, intervals and bit errors, on all cores, is one command::
#
#     disac run link --sinr-db 20 --snr-db 20
