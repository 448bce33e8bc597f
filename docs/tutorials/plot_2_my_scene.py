"""
My scene, four designs on one plot
==================================

How much does each design pay in localization for the users' SINR, in a scene of your own?
"""

# %%
# A scene needs nodes, targets and users. Everything else has a default. Three nodes on a street corner, one target:

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import design_sweep
from disac.designs.problem.refusals import Infeasible
from disac.simulator import Scenario

scene = Scenario(
    nodes=[[-40.0, -30.0], [45.0, -25.0], [0.0, 50.0]],
    targets=[[8.0, 5.0]],
    users=[[0.0, -20.0], [15.0, 20.0]],
    n_tx=4,
    n_rx=4,
    n_subcarriers=12,
    bandwidth_hz=20e6,
)
scene.to_toml("corner.toml")

# %%
# Each design is solved at several thresholds. Where a threshold is out of reach, the sweep yields the refusal, which
# names the largest feasible one.

thresholds_db = np.arange(0.0, 26.0, 5.0)
figure, ax = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
for name, marker in (("p1-noncoherent", "D"), ("p2", "^"), ("p3-true", "s"), ("uniform", "x")):
    results = list(design_sweep(name, scene, thresholds_db))
    rcrb_mm = [np.nan if isinstance(result, Infeasible) else 1e3 * result.rcrb_m for result in results]
    ax.plot(thresholds_db, rcrb_mm, marker=marker, label=name)
ax.set(xlabel=r"SINR threshold $\Gamma_c$ [dB]", ylabel="RCRB of one symbol [mm]")
ax.legend()
plt.show()

# %%
# The same scene on the command line::
#
#     disac describe corner.toml
#     disac run link --scenario corner.toml --sinr-db 10 --design p1-noncoherent,p2,p3-true
