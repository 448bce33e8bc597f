"""An independent twin of the Fisher information: Eq. (5) written out from positions, and differentiated numerically.

It imports nothing of the package. The derivatives are central differences of eighth order with steps that scale with
the variable, so their error is far below the 1e-8 that counts as agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIGHT = 299792458.0


@dataclass(frozen=True)
class Scene:
    """One noise-free trial: positions [m], broadsides [rad], b[rx, tx, target], X[node, antenna, line, symbol]."""

    nodes: np.ndarray
    broadsides: np.ndarray
    targets: np.ndarray
    amplitudes: np.ndarray
    symbols: np.ndarray
    n_rx: int
    bandwidth_hz: float
    noise_sense: float


def angles_and_delays(scene: Scene, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles off broadside and one-way delays, each (N, K)."""
    n_nodes, n_targets = len(scene.nodes), len(targets)
    angles, delays = np.empty((n_nodes, n_targets)), np.empty((n_nodes, n_targets))
    for n in range(n_nodes):
        for k in range(n_targets):
            dx = targets[k][0] - scene.nodes[n][0]
            dy = targets[k][1] - scene.nodes[n][1]
            angles[n, k] = np.arctan2(dy, dx) - scene.broadsides[n]
            delays[n, k] = np.sqrt(dx * dx + dy * dy) / LIGHT
    return angles, delays


def mean_from_angles_and_delays(
    scene: Scene, angles: np.ndarray, delays: np.ndarray, amplitudes: np.ndarray
) -> np.ndarray:
    """Noise-free Y[n, m_r, l, t] of Eq. (5) summed over transmitters and targets."""
    n_nodes, n_tx, n_subcarriers, n_symbols = scene.symbols.shape
    mean = np.zeros((n_nodes, scene.n_rx, n_subcarriers, n_symbols), dtype=complex)
    frequency = scene.bandwidth_hz / n_subcarriers * np.arange(n_subcarriers)
    for k in range(angles.shape[1]):
        for m in range(n_nodes):
            transmit = np.exp(1j * np.pi * np.arange(n_tx) * np.sin(angles[m, k]))
            radiated = np.tensordot(transmit, scene.symbols[m], axes=(0, 0))
            for n in range(n_nodes):
                delayed = radiated * np.exp(-2j * np.pi * frequency * (delays[n, k] + delays[m, k]))[:, None]
                receive = np.exp(1j * np.pi * np.arange(scene.n_rx) * np.sin(angles[n, k]))
                mean[n] += amplitudes[n, m, k] * receive[:, None, None] * delayed
    return mean


def parameter_vector(scene: Scene, mode: str) -> np.ndarray:
    """x_1..x_K, y_1..y_K, Re b, Im b and the nuisance parameters of a mode, or theta, tau, Re b, Im b of Eq. (8)."""
    b = scene.amplitudes.ravel()
    angles, delays = angles_and_delays(scene, scene.targets)
    if mode == "eq8":
        return np.concatenate([angles.ravel(), delays.ravel(), b.real, b.imag])
    nuisance = {"tof-nuisance": angles.ravel(), "aoa-nuisance": delays.ravel()}.get(mode, np.empty(0))
    return np.concatenate([scene.targets[:, 0], scene.targets[:, 1], b.real, b.imag, nuisance])


def mean(scene: Scene, parameters: np.ndarray, mode: str) -> np.ndarray:
    """Noise-free signal by the parameter vector of a mode; what the mode takes as known stays at the truth."""
    n_nodes, n_targets = len(scene.nodes), len(scene.targets)
    n_amplitudes, n_links = n_nodes * n_nodes * n_targets, n_nodes * n_targets
    n_geometry = 2 * n_links if mode == "eq8" else 2 * n_targets
    re, im = np.split(parameters[n_geometry : n_geometry + 2 * n_amplitudes], 2)
    amplitudes = (re + 1j * im).reshape(n_nodes, n_nodes, n_targets)
    if mode == "eq8":
        angles, delays = parameters[: 2 * n_links].reshape(2, n_nodes, n_targets)
        return mean_from_angles_and_delays(scene, angles, delays, amplitudes)
    moved = np.stack([parameters[:n_targets], parameters[n_targets : 2 * n_targets]], axis=1)
    angles, delays = angles_and_delays(scene, moved)
    true_angles, true_delays = angles_and_delays(scene, scene.targets)
    nuisance = parameters[n_geometry + 2 * n_amplitudes :].reshape(-1, n_targets)
    if mode == "tof":
        angles = true_angles
    elif mode == "aoa":
        delays = true_delays
    elif mode == "tof-nuisance":
        angles = nuisance
    elif mode == "aoa-nuisance":
        delays = nuisance
    return mean_from_angles_and_delays(scene, angles, delays, amplitudes)


def steps(scene: Scene, mode: str) -> np.ndarray:
    """Difference steps, each a small fraction of the length over which the mean turns by one radian."""
    n_nodes, n_targets = len(scene.nodes), len(scene.targets)
    angle_step = 0.03 / (np.pi * max(scene.n_rx, scene.symbols.shape[1]))
    delay_step = 0.03 / (4 * np.pi * scene.bandwidth_hz)
    nearest = min(np.linalg.norm(q - p) for q in scene.targets for p in scene.nodes)
    position_step = min(angle_step * nearest, delay_step * LIGHT)
    amplitude_steps = np.ones(2 * n_nodes * n_nodes * n_targets)
    links = np.ones(n_nodes * n_targets)
    if mode == "eq8":
        return np.concatenate([angle_step * links, delay_step * links, amplitude_steps])
    nuisance = {"tof-nuisance": angle_step * links, "aoa-nuisance": delay_step * links}.get(mode, np.empty(0))
    return np.concatenate([position_step * np.ones(2 * n_targets), amplitude_steps, nuisance])


def jacobian_of_mean(scene: Scene, mode: str) -> np.ndarray:
    """Derivative of the mean by every parameter, (P, samples).

    Central differences of eighth order; for amplitudes, in which the mean is linear, two points are exact.
    """
    eighth_order, linear = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}, {1: 1 / 2}
    center = parameter_vector(scene, mode)
    first_amplitude = (2 * len(scene.nodes) if mode == "eq8" else 2) * len(scene.targets)
    amplitudes = range(first_amplitude, first_amplitude + 2 * scene.amplitudes.size)
    rows = []
    for p, step in enumerate(steps(scene, mode)):
        unit = np.zeros(len(center))
        unit[p] = step
        rows.append(
            sum(
                weight * (mean(scene, center + i * unit, mode) - mean(scene, center - i * unit, mode)).ravel()
                for i, weight in (linear if p in amplitudes else eighth_order).items()
            )
            / step
        )
    return np.array(rows)


def fisher(scene: Scene, mode: str) -> np.ndarray:
    """Fisher information of all T symbols in white noise CN(0, sigma_s^2 / L) per sample: (2 / sigma_n^2) Re D^H D."""
    derivatives = jacobian_of_mean(scene, mode)
    noise = scene.noise_sense / scene.symbols.shape[2]
    return 2 / noise * (derivatives.conj() @ derivatives.T).real
