"""Hybrid position bound of uncorrelated antennas in 50-digit arithmetic, from the phases of the echoes.

Antennas that send uncorrelated signals part the links: receive element i of node n hears from element j of node m, by
target k on subcarrier l, b e^{j phi} with phi = pi (i s_n + j s_m) - 2 pi (B / L) l (t_n + t_m), s = sin(theta) and
t the one-way delay. So the Fisher information is a sum over (n, m) of Gram matrices of K amplitude columns e^{j phi}
and 2K position columns j b e^{j phi} d phi. Amplitudes are eliminated one by one; those that depend on others stay.
"""

from __future__ import annotations

import mpmath
import numpy as np

LIGHT = 299_792_458


def exact_crb(scenario, powers, digits=50):
    """Bound (2K, 2K) as an mpmath matrix, for powers [l, m] of every antenna of node m on subcarrier l."""
    with mpmath.workdps(digits):
        n_nodes, n_targets = scenario.n_nodes, scenario.n_targets
        rays = [[_ray(scenario, n, k) for k in range(n_targets)] for n in range(n_nodes)]
        information = mpmath.zeros(2 * n_targets)
        for n in range(n_nodes):
            for m in range(n_nodes):
                columns = _columns(scenario, rays, n, m, powers[:, m])
                information += _left(columns, n_targets, mpmath.mpf(10) ** (-digits // 2))
        scale = 2 * scenario.n_subcarriers / mpmath.mpf(scenario.noise_sense)
        return mpmath.inverse(scale * information)


def exact_rcrb(scenario, powers, digits=50):
    """Root of the trace of :func:`exact_crb` [m], a float."""
    bound = exact_crb(scenario, powers, digits)
    return float(mpmath.sqrt(sum(bound[i, i] for i in range(bound.rows))))


def node_powers(scenario, interleaved=True):
    """Powers [l, m] of P_T on every antenna, on the node's own subcarriers or on all."""
    if not interleaved:
        return np.full((scenario.n_subcarriers, scenario.n_nodes), scenario.tx_power / scenario.n_subcarriers)
    owner = scenario.subcarrier_node
    own = owner[:, None] == np.arange(scenario.n_nodes)
    return own * scenario.tx_power / own.sum(axis=0)


def covariances(scenario, powers):
    """The same signals as R[l, i, j]."""
    return np.repeat(powers, scenario.n_tx, axis=1)[:, :, None] * np.eye(
        scenario.n_nodes * scenario.n_tx, dtype=complex
    )


def _ray(scenario, node, target):
    """sin(theta), delay, and the derivatives of both by x and y."""
    dx, dy = (
        mpmath.mpf(float(scenario.targets[target, c])) - mpmath.mpf(float(scenario.nodes[node, c])) for c in (0, 1)
    )
    turn = mpmath.mpf(float(scenario.orientations[node]))
    distance = mpmath.sqrt(dx**2 + dy**2)
    across = dy * mpmath.cos(turn) - dx * mpmath.sin(turn)
    sine = across / distance
    sine_slope = (
        -mpmath.sin(turn) / distance - across * dx / distance**3,
        mpmath.cos(turn) / distance - across * dy / distance**3,
    )
    return sine, distance / LIGHT, sine_slope, (dx / distance / LIGHT, dy / distance / LIGHT)


def _columns(scenario, rays, n, m, power):
    n_targets = scenario.n_targets
    step = 2 * mpmath.pi * mpmath.mpf(scenario.bandwidth_hz) / scenario.n_subcarriers
    columns = [[] for _ in range(3 * n_targets)]
    for sub in np.flatnonzero(power):
        root = mpmath.sqrt(mpmath.mpf(float(power[sub])))
        for i in range(scenario.n_rx):
            for j in range(scenario.n_tx):
                for k in range(n_targets):
                    here, there = rays[n][k], rays[m][k]
                    weights = (mpmath.pi * i, mpmath.pi * j, -step * int(sub))
                    phase = weights[0] * here[0] + weights[1] * there[0] + weights[2] * (here[1] + there[1])
                    entry = root * mpmath.expj(phase)
                    b = mpmath.mpc(complex(scenario.amplitudes[n, m, k]))
                    columns[k].append(entry)
                    for c in (0, 1):
                        slope = (
                            weights[0] * here[2][c] + weights[1] * there[2][c] + weights[2] * (here[3][c] + there[3][c])
                        )
                        columns[(1 + c) * n_targets + k].append(1j * b * slope * entry)
    return columns


def _left(columns, n_targets, negligible):
    """Real information on positions after the amplitudes are eliminated, (2K, 2K)."""
    count = len(columns)
    gram = mpmath.zeros(count)
    for p in range(count):
        for q in range(p, count):
            gram[p, q] = mpmath.fdot(columns[q], columns[p], conjugate=True)
            gram[q, p] = mpmath.conj(gram[p, q])
    diagonal = [mpmath.re(gram[k, k]) for k in range(n_targets)]
    for k in range(n_targets):
        pivot = mpmath.re(gram[k, k])
        if pivot <= negligible * diagonal[k]:
            continue
        row = [gram[k, q] / pivot for q in range(count)]
        for p in range(count):
            if p != k:
                factor = gram[p, k]
                for q in range(count):
                    gram[p, q] -= factor * row[q]
    left = mpmath.zeros(2 * n_targets)
    for p in range(2 * n_targets):
        for q in range(2 * n_targets):
            left[p, q] = mpmath.re(gram[n_targets + p, n_targets + q])
    return left
