"""Appendix A of the paper, Eq. (45) to (51), with each of its misprints as a switch.

``Appendix(...)`` evaluates the corrected blocks; naming a misprint in ``printed`` puts it back. The blocks are written
as the paper writes them, matrix by matrix; the expectation over symbols is the sum over the T symbols of one signal.
"""

from __future__ import annotations

import numpy as np

LIGHT = 299792458.0

BLOCK_MISPRINTS = ("(46) sigma", "(48) block order", "(48) V_tau", "(49a)", "(49b)")
MISPRINTS = (*BLOCK_MISPRINTS, "V-A TOF", "V-A AOA")


class Appendix:
    """Fisher information of Eq. (46) for one signal X[n, m_t, l, t].

    Parameters
    ----------
    mode : "hybrid", "tof" or "aoa"; the latter two zero the derivatives of the arrays or of the delays (Section V-A).
    printed : misprints of :data:`MISPRINTS` to put back.
    """

    def __init__(self, scenario, symbols, mode="hybrid", printed=()):
        unknown = set(printed) - set(MISPRINTS)
        assert not unknown, unknown
        self.scenario, self.symbols, self.printed = scenario, symbols, frozenset(printed)
        s = scenario
        self.n_nodes, self.n_targets = len(s.nodes), len(s.targets)
        offset = s.targets[None] - s.nodes[:, None]
        distance = np.linalg.norm(offset, axis=-1)
        self.angle = np.arctan2(offset[..., 1], offset[..., 0]) - s.orientations[:, None]
        self.delay = distance / LIGHT
        self.offset, self.distance = offset, distance

        def array(n, count):
            return np.exp(1j * np.pi * np.outer(np.arange(count), np.sin(self.angle[n])))

        def array_slope(n, count):
            return 1j * np.pi * np.outer(np.arange(count), np.cos(self.angle[n])) * array(n, count)

        nodes = range(self.n_nodes)
        omega = 2 * np.pi * s.bandwidth_hz / s.n_subcarriers * np.arange(s.n_subcarriers)
        self.A_r = [array(n, s.n_rx) for n in nodes]
        self.A_t = [array(n, s.n_tx) for n in nodes]
        self.dA_r = [array_slope(n, s.n_rx) for n in nodes]
        self.dA_t = [array_slope(n, s.n_tx) for n in nodes]
        self.D = [[np.exp(-1j * np.outer(omega, self.delay[n] + self.delay[m])) for m in nodes] for n in nodes]
        self.dD = [[-1j * omega[:, None] * self.D[n][m] for m in nodes] for n in nodes]
        self.B = [[np.diag(s.amplitudes[n, m]) for m in nodes] for n in nodes]
        if mode == "tof":
            self.dA_r = [0 * a for a in self.dA_r]
            self.dA_t = [0 * a for a in self.dA_t]
        if mode == "aoa":
            self.dD = [[0 * d for d in row] for row in self.dD]
        if "V-A TOF" in self.printed:
            self.A_r = [0 * a for a in self.A_r]
            self.A_t = [0 * a for a in self.A_t]
        if "V-A AOA" in self.printed:
            self.D = [[0 * d for d in row] for row in self.D]

    def of_eq8(self):
        """F(Psi) in the order theta, tau, Re b, Im b of Eq. (8)."""
        s = self.scenario
        variance = s.noise_sense if "(46) sigma" in self.printed else s.noise_sense / s.n_subcarriers
        total = sum(self._of_symbol(self.symbols[..., t]) for t in range(self.symbols.shape[-1]))
        return 2 / variance * total.real

    def of_positions(self):
        """F(Theta) = J F(Psi) J^T of Eq. (12) with the Jacobian of Eq. (45)."""
        k, n = self.n_targets, self.n_nodes
        d_theta = np.zeros((2, k, n * k))
        d_tau = np.zeros((2, k, n * k))
        for node in range(n):
            for target in range(k):
                dx, dy = self.offset[node, target]
                r = self.distance[node, target]
                d_theta[:, target, node * k + target] = -dy / r**2, dx / r**2
                d_tau[:, target, node * k + target] = dx / (LIGHT * r), dy / (LIGHT * r)
        b = 2 * k * n * n
        jacobian = np.zeros((2 * k + b, 2 * n * k + b))
        jacobian[: 2 * k, : n * k] = d_theta.reshape(2 * k, -1)
        jacobian[: 2 * k, n * k : 2 * n * k] = d_tau.reshape(2 * k, -1)
        jacobian[2 * k :, 2 * n * k :] = np.eye(b)
        return jacobian @ self.of_eq8() @ jacobian.T

    def _of_symbol(self, X):
        nodes, k = range(self.n_nodes), self.n_targets
        A_r, dA_r, B = self.A_r, self.dA_r, self.B
        V = [[(X[m].T @ self.A_t[m]) * self.D[n][m] for m in nodes] for n in nodes]
        V_theta = [[(X[m].T @ self.dA_t[m]) * self.D[n][m] for m in nodes] for n in nodes]
        tau_array = self.dA_t if "(48) V_tau" in self.printed else self.A_t
        V_tau = [[(X[m].T @ tau_array[m]) * self.dD[n][m] for m in nodes] for n in nodes]
        P = [sum(V[n][m] @ B[n][m] for m in nodes) for n in nodes]
        P_tau = [sum(V_tau[n][m] @ B[n][m] for m in nodes) for n in nodes]

        def H(matrix):
            return matrix.conj().T

        def theta_theta(n, m):
            common = sum(
                (H(A_r[i]) @ A_r[i]) * (B[i][n].conj() @ H(V_theta[i][n]) @ V_theta[i][m] @ B[i][m]) for i in nodes
            )
            if n == m:
                return (
                    (H(dA_r[n]) @ dA_r[n]) * (H(P[n]) @ P[n])
                    + (H(dA_r[n]) @ A_r[n]) * (H(P[n]) @ V_theta[n][n] @ B[n][n])
                    + (H(A_r[n]) @ dA_r[n]) * (B[n][n].conj() @ H(V_theta[n][n]) @ P[n])
                    + common
                )
            return (
                (H(dA_r[n]) @ A_r[n]) * (H(P[n]) @ V_theta[n][m] @ B[n][m])
                + (H(A_r[m]) @ dA_r[m]) * (B[m][n].conj() @ H(V_theta[m][n]) @ P[m])
                + common
            )

        def theta_tau(n, m):
            common = sum(
                (H(A_r[i]) @ A_r[i]) * (B[i][n].conj() @ H(V_theta[i][n]) @ V_tau[i][m] @ B[i][m]) for i in nodes
            )
            if n == m:
                return (
                    (H(dA_r[n]) @ A_r[n]) * (H(P[n]) @ P_tau[n])
                    + (H(dA_r[n]) @ A_r[n]) * (H(P[n]) @ V_tau[n][n] @ B[n][n])
                    + (H(A_r[n]) @ A_r[n]) * (B[n][n].conj() @ H(V_theta[n][n]) @ P_tau[n])
                    + common
                )
            return (
                (H(dA_r[n]) @ A_r[n]) * (H(P[n]) @ V_tau[n][m] @ B[n][m])
                + (H(A_r[m]) @ A_r[m]) * (B[m][n].conj() @ H(V_theta[m][n]) @ P_tau[m])
                + common
            )

        def tau_tau(n, m):
            common = sum(
                (H(A_r[i]) @ A_r[i]) * (B[i][n].conj() @ H(V_tau[i][n]) @ V_tau[i][m] @ B[i][m]) for i in nodes
            )
            if n == m:
                return (
                    (H(A_r[n]) @ A_r[n]) * (H(P_tau[n]) @ P_tau[n])
                    + (H(A_r[n]) @ A_r[n]) * (H(P_tau[n]) @ V_tau[n][n] @ B[n][n])
                    + (H(A_r[n]) @ A_r[n]) * (B[n][n].conj() @ H(V_tau[n][n]) @ P_tau[n])
                    + common
                )
            return (
                (H(A_r[n]) @ A_r[n]) * (H(P_tau[n]) @ V_tau[n][m] @ B[n][m])
                + (H(A_r[m]) @ A_r[m]) * (B[m][n].conj() @ H(V_tau[m][n]) @ P_tau[m])
                + common
            )

        def theta_b(n, m, i):
            if n == m:
                first = A_r[n] if "(49a)" in self.printed else dA_r[n]
                return (H(first) @ A_r[n]) * (H(P[n]) @ V[n][i]) + (H(A_r[n]) @ A_r[n]) * (
                    B[n][n].conj() @ H(V_theta[n][n]) @ V[n][i]
                )
            amplitude = B[n][n] if "(49b)" in self.printed else B[m][n]
            return (H(A_r[m]) @ A_r[m]) * (amplitude.conj() @ H(V_theta[m][n]) @ V[m][i])

        def tau_b(n, m, i):
            if n == m:
                return (H(A_r[n]) @ A_r[n]) * (H(P_tau[n]) @ V[n][i]) + (H(A_r[n]) @ A_r[n]) * (
                    B[n][n].conj() @ H(V_tau[n][n]) @ V[n][i]
                )
            return (H(A_r[m]) @ A_r[m]) * (B[m][n].conj() @ H(V_tau[m][n]) @ V[m][i])

        def b_b(n, m, i, j):
            return (H(A_r[n]) @ A_r[n]) * (H(V[n][i]) @ V[n][j]) if n == m else np.zeros((k, k))

        swap = "(48) block order" in self.printed

        def grid(block):
            return np.block([[block(m, n) if swap else block(n, m) for m in nodes] for n in nodes])

        F_tt, F_tu, F_uu = grid(theta_theta), grid(theta_tau), grid(tau_tau)
        F_tb = np.block([[theta_b(n, m, i) for m in nodes for i in nodes] for n in nodes])
        F_ub = np.block([[tau_b(n, m, i) for m in nodes for i in nodes] for n in nodes])
        F_bb = np.block([[b_b(n, m, i, j) for m in nodes for j in nodes] for n in nodes for i in nodes])
        T = np.block([[F_tt, F_tu], [F_tu.T, F_uu]])
        E = np.block([[F_tb, 1j * F_tb], [F_ub, 1j * F_ub]])
        G = np.block([[F_bb, 1j * F_bb], [1j * F_bb.T, F_bb]])
        return np.block([[T, E], [E.T, G]])
