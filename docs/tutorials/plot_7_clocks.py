"""
What do clocks cost that nobody synchronized?
=============================================

The paper takes the nodes' time as common. Here each node's clock has an unknown offset.
"""

# %%
# The link from node m to node n is late by the difference of both clocks. An offset may be known to a standard
# deviation, or be entirely free.

import math

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import clock_bias, crb, design
from disac.simulator import Scenario

scene = Scenario.preset("fig7")
covariances = design("p2", scene, 20.0).covariances

# %%
# Estimated along with the target, the clocks cost little: both directions of every link are in use, and their errors
# cancel. Ignored, they cost far more: the estimate is biased.

stds_s = np.logspace(-12, -6, 25)
estimated = [1e3 * math.sqrt(np.trace(crb(scene, covariances, clock_std_s=std, n_symbols=16))) for std in stds_s]
known = 1e3 * math.sqrt(np.trace(crb(scene, covariances, n_symbols=16)))
slopes = np.stack([clock_bias(scene, covariances, unit) for unit in np.eye(scene.n_nodes)])
ignored = 1e3 * np.sqrt((known / 1e3) ** 2 + stds_s**2 * np.sum(slopes**2))

figure, ax = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
ax.loglog(stds_s, estimated, color="#0072B2", label="clocks estimated")
ax.loglog(stds_s, ignored, "--", color="#D55E00", label="clocks ignored, to first order")
ax.axhline(known, color="k", linewidth=0.8, label="clocks known")
ax.set(
    xlabel="standard deviation of a clock [s]", ylabel="root mean squared position error [mm]", ylim=(known / 2, None)
)
ax.legend()
plt.show()

free = 1e3 * math.sqrt(np.trace(crb(scene, covariances, clock_std_s=math.inf, n_symbols=16)))
print(f"known {known:.4f} mm, entirely free {free:.4f} mm: {100 * (free / known - 1):.1f} % more")
