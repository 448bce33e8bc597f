"""
My design against P.2
=====================

A design of your own is one registered function. The command line, the tables and the contract tests then know it.
"""

# %%
# This one sends the data of each user along its channel from the node that serves the subcarrier, and splits the power
# in a fixed way: half for data, half for radar in all directions. ``fixed_design`` computes everything else, SINR and
# bound included.

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import design, fixed_design, register_design
from disac.simulator import Scenario


@register_design("half-and-half", label="half data, half radar", depends_on_sinr=False)
def half_and_half(scenario, sinr_db, *, solver="native"):
    """Half of the power for matched data beams, half for isotropic radar."""
    n, u, l_count, m = scenario.n_nodes, scenario.n_users, scenario.n_subcarriers, scenario.n_tx
    comm = np.zeros((n, u, l_count, m), dtype=complex)
    radar = np.zeros((n, l_count, m, m), dtype=complex)
    for line, node in enumerate(scenario.subcarrier_node):
        share = scenario.tx_power / np.sum(scenario.subcarrier_node == node)
        for user in range(u):
            phases = np.exp(1j * np.angle(scenario.channels[node, user, line]))
            comm[node, user, line] = np.sqrt(share / 2 / u) * phases
        radar[node, line] = np.sqrt(share / 2) * np.eye(m)
    return fixed_design(scenario, comm, radar, name="half-and-half")


# %%
# What does P.2 make of the same SINR?

scene = Scenario.preset("fig7")
mine = design("half-and-half", scene, None)
reached_db = 10 * np.log10(mine.certificate.sinr.min())
p2 = design("p2", scene, float(np.floor(reached_db)))
print(f"mine: SINR {reached_db:.2f} dB on every subcarrier, RCRB {1e3 * mine.rcrb_m:.3f} mm")
print(f"P.2 at {np.floor(reached_db):.0f} dB: RCRB {1e3 * p2.rcrb_m:.3f} mm, proved optimal to {p2.gap:.0e}")

figure, ax = plt.subplots(figsize=(5.0, 3.2), layout="constrained")
for result, marker in ((mine, "s"), (p2, "^")):
    ax.plot(10 * np.log10(result.certificate.sinr[0]), marker=marker, label=result.name)
ax.set(xlabel="subcarrier", ylabel="SINR of user 0 [dB]")
ax.legend()
plt.show()

# %%
# Put the function into a file, say ``mine.py``, and both meet as waveforms::
#
#     disac run link --preset fig7 --import mine.py --design half-and-half,p2
#
# ``disac.testing.check_design("half-and-half")`` runs the contract tests of the built-in designs on it.
