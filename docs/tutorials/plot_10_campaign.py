"""
A campaign in a notebook
========================

An experiment of your own, run with workers, kept in a file, read as a table.
"""

# %%
# An experiment is a frozen value with points, a set-up per point and records. This one asks how a steering error of the
# transmit beam hurts the power on the target.

from dataclasses import dataclass
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np

from disac.experiments import Column, Purpose, read_run, run_campaign
from disac.simulator.steering import steering_vector


@dataclass(frozen=True)
class SteeringError:
    """Power that a beam with a wrong angle brings to the target, over that of the right beam."""

    stds_deg: tuple[float, ...] = (0.0, 2.0, 5.0, 10.0)
    name = "steering-error"
    columns: ClassVar = {"gain": Column("1", "power over that of the right beam")}

    def points(self):
        return [{"std_deg": value} for value in self.stds_deg]

    def prepare(self, point):
        return np.deg2rad(point["std_deg"])

    def run(self, context, keys):
        right = steering_vector(0.0, 6)
        wrong = (context * key.generator(Purpose.GEOMETRY).normal() for key in keys)
        return [{"gain": float(abs(steering_vector(angle, 6).conj() @ right) ** 2 / 36)} for angle in wrong]


run_campaign(SteeringError(), "runs/steering/", seed=1, trials=400, overwrite=True)

# %%
# The run is a folder. It can be resumed, extended, exported and reported, and it reads as NumPy or pandas.

run = read_run("runs/steering")
summary = run.summary()
print(summary.dtype.names)

figure, ax = plt.subplots(figsize=(5.0, 3.2), layout="constrained")
ax.errorbar(summary["std_deg"], summary["gain"], 1.96 * summary["gain_se"], fmt="ko", capsize=3)
ax.set(
    xlabel="standard deviation of the angle [degrees]", ylabel="mean power over that of the right beam", ylim=(0, 1.05)
)
plt.show()

# %%
# On the command line::
#
#     disac status runs/steering
#     disac report runs/steering
