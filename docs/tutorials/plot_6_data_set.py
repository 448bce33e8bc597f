"""
A data set of X, Y and truth for learning
=========================================

Training data of a localization network: what was sent, what was received, where the targets were.
"""

# %%
# Each example moves the target, draws new amplitudes and noise, and keeps X, Y and the truth. A seed makes the set
# repeatable.

import matplotlib.pyplot as plt
import numpy as np

from disac.designs import design
from disac.simulator import RandomAmplitudes, Scenario, draw_streams, synthesize, transmit

scene = Scenario.preset("fig7", n_symbols=4)
precoders = design("p2", scene, 20.0)


def example(seed):
    """Transmitted and received symbols and the target of one example."""
    rng = np.random.default_rng(seed)
    target = rng.uniform(-30.0, 30.0, (1, 2))
    here = scene.replace(targets=target, amplitudes=RandomAmplitudes(seed=seed))
    streams = draw_streams(here, precoders.radar_precoders.shape[-1], order=4, bit_rng=rng, radar_rng=rng)
    X = transmit(precoders.comm_precoders, precoders.radar_precoders, streams)
    phases = rng.uniform(0, 2 * np.pi, here.n_nodes)
    return X, synthesize(here, X, rng=rng, phases=phases), target


examples = [example(seed) for seed in range(32)]
X, Y, targets = (np.stack(parts) for parts in zip(*examples, strict=True))
np.savez_compressed("examples.npz", X=X.astype(np.complex64), Y=Y.astype(np.complex64), targets=targets)
print("X[example, n, m_t, l, t]", X.shape, " Y[example, n, m_r, l, t]", Y.shape, " targets", targets.shape)

# %%
# A first look: the sample covariance of one node's antennas holds the angle of arrival.

one = Y[0, 0].reshape(scene.n_rx, -1)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.2), layout="constrained")
image = left.imshow(np.angle(one @ one.conj().T), cmap="twilight", vmin=-np.pi, vmax=np.pi)
left.set(xlabel="antenna", ylabel="antenna", title="phase between antennas, node 0")
figure.colorbar(image, ax=left, label="[rad]")
right.plot(*targets[:, 0].T, "k.", label="targets")
right.plot(*scene.nodes.T, "^", color="#D55E00", label="nodes")
right.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
right.legend()
plt.show()

# %%
# The bound of every example says how well any network can do: ``disac.designs.crb(scenario, covariances)``.
