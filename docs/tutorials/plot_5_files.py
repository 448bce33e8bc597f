"""
My channels and target amplitudes from a file
=============================================

Measured or simulated channels replace the random ones.
"""

# %%
# Channels have the axes ``[node, user, subcarrier, antenna]`` with y = h^H x, amplitudes ``[rx, tx, target]``. Here a
# two-path channel per link stands for a measurement.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import design
from disac.simulator import Scenario

scene = Scenario.preset("fig7")
rng = np.random.default_rng(3)
n, u, l_count, m = scene.n_nodes, scene.n_users, scene.n_subcarriers, scene.n_tx
frequencies = np.arange(l_count) * scene.bandwidth_hz / l_count
channels = np.zeros((n, u, l_count, m), dtype=complex)
for delay_s, power in ((50e-9, 0.7), (250e-9, 0.3)):
    gain = np.sqrt(power / 2) * (rng.standard_normal((n, u, 1, m)) + 1j * rng.standard_normal((n, u, 1, m)))
    # the signal that arrives turns by exp(-j 2 pi f tau), and y = h^H x conjugates h
    channels += gain * np.exp(2j * np.pi * frequencies * delay_s)[:, None]
amplitudes = np.sqrt(10) * np.exp(2j * np.pi * rng.uniform(size=(n, n, 1)))

# %%
# Put both into a scene, save it, and read it back: the TOML file names an NPZ archive beside it.

measured = scene.replace(channels=channels, amplitudes=amplitudes)
measured.to_toml("measured.toml")
assert Scenario.from_toml("measured.toml") == measured
print(Path("measured.toml").read_text())

# %%
# A frequency-selective channel makes some subcarriers expensive.

result = design("p2", measured, 15.0)
power = np.sum(np.abs(result.comm_precoders) ** 2, axis=(0, 1, 3))
radar = np.sum(np.abs(result.radar_precoders) ** 2, axis=(0, 2, 3))
figure, ax = plt.subplots(figsize=(5.0, 3.2), layout="constrained")
ax.bar(range(l_count), power, color="#0072B2", label="data")
ax.bar(range(l_count), radar, bottom=power, color="#BBBBBB", label="radar")
ax.set(xlabel="subcarrier", ylabel="power of all antennas")
ax.legend()
plt.show()

# %%
# On the command line::
#
#     disac run link --scenario measured.toml --sinr-db 15
