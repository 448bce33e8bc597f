"""P.1 with a given combination of the nodes for each user: a convex restriction that is extracted without loss.

Nodes add up in power, so a user hears ||H^H w||^2 of its stacked precoder w, H = blkdiag_n(h_n). For every unit vector
v over the nodes ||H^H w||^2 >= |g^H w|^2 with g = H v, and equality holds where v is the direction of H^H w. Counting
only that much as useful,

    (1 + 1/Gamma) g_u^H C_u g_u - tr(H_u^H R H_u) >= sigma_c^2 / L,     R - sum_u C_u >= 0,     C_u >= 0,

is convex in R and the users' shares C_u of it, on every subcarrier. With V an orthonormal basis of the span of all g_u
only the q x q shares C'_u = V^H C_u V enter, sum_u C'_u = V^H R V, and with c_u = V^H g_u the precoders

    w_u = R V (V^H R V)^-1 C'_u c_u / sqrt(c_u^H C'_u c_u)

give g_u^H w_u = sqrt(c_u^H C'_u c_u) and sum_u w_u w_u^H <= R: radar is the rest, and R is what is sent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.solvers.native.cones import adjoint, hermitian, smat, svec
from disac.designs.solvers.native.driver import single_threaded
from disac.designs.solvers.native.predictor_corrector import run
from disac.designs.solvers.native.problems import build
from disac.designs.solvers.native.saddle import BlockGroup, Blocks, Forms, SaddleProblem, Split

ComplexArray = NDArray[np.complex128]

TIGHTENING = 1e-8
"""Relative margin on the threshold, beyond the solver's own residuals, so that what is sent keeps it."""


class CombinedProblem:
    """The restriction of one problem, for any combination.

    Parameters
    ----------
    problem : RelaxedProblem
        P.1 or P.4 with a SINR threshold, signal ``joint``.
    """

    def __init__(self, problem: RelaxedProblem) -> None:
        s = problem.scenario
        self.scenario = s
        self.sinr = problem.sinr * (1 + TIGHTENING)
        self._relaxed = build(problem).saddle
        strength = np.sum(np.abs(s.channels) ** 2, axis=-1).max(axis=0)
        channels = s.channels / np.sqrt(strength)[None, :, :, None]
        self._thresholds = (self.sinr * s.noise_comm / (s.tx_power * strength)).T
        stacked = np.zeros((s.n_subcarriers, s.n_nodes, s.n_tx, s.n_users, s.n_nodes), dtype=complex)
        own = np.arange(s.n_nodes)
        stacked[:, own, :, :, own] = channels.transpose(0, 2, 3, 1)
        self._channels = stacked.reshape(s.n_subcarriers, s.n_nodes * s.n_tx, s.n_users, s.n_nodes)

    def solve(self, combination: ComplexArray, tolerance: float) -> tuple[ComplexArray, ComplexArray] | None:
        """Covariances R (L, N M_t, N M_t) of least CRB and stacked data precoders W (L, N M_t, U), W W^H <= R.

        None where the combination reaches the threshold with no signals.

        Parameters
        ----------
        combination : (L, U, N) array of complex
            Unit vectors v.
        tolerance : float
            Relative gap between CRB and bound of the restriction at which to stop.
        """
        seen = np.einsum("ldun,lun->ldu", self._channels, combination)
        basis = np.linalg.qr(seen)[0]
        with single_threaded():
            outcome = run(self._saddle(seen, basis), tolerance)
        if outcome.status == "infeasible":
            return None
        return self._signals(outcome.best.covariances, seen, basis)

    def _saddle(self, seen: ComplexArray, basis: ComplexArray) -> SaddleProblem:
        n_subcarriers, size, n_users = seen.shape
        n_nodes, q = self._channels.shape[-1], basis.shape[-1]
        n_prices, user, gamma = n_users + q * q, np.arange(n_users), self.sinr
        hermitian_basis = smat(np.eye(q * q))
        whole = np.zeros((1, n_prices, q + n_users * (1 + n_nodes), q + n_users * (1 + n_nodes)), dtype=complex)
        whole[0, n_users:, :q, :q] = hermitian_basis
        whole[0, user, q + user, q + user] = 1 + gamma
        heard = q + n_users + np.arange(n_users * n_nodes).reshape(n_users, n_nodes)
        whole[0, user[:, None], heard, heard] = -gamma
        shares = np.zeros((n_users, n_prices, q + n_users, q + n_users), dtype=complex)
        shares[:, n_users:, :q, :q] = -hermitian_basis
        shares[:, user, q + user, q + user] = -(1 + gamma)
        shares[user, user, q + user, q + user] = 0
        vectors = np.concatenate([basis, seen, self._channels.reshape(n_subcarriers, size, -1)], axis=-1)
        identity = np.broadcast_to(np.eye(q, dtype=complex), (n_subcarriers, q, q))
        share_vectors = np.concatenate([identity, adjoint(basis) @ seen], axis=-1)
        share_vectors = np.repeat(share_vectors[:, None], n_users, axis=1)
        leaf = np.arange(n_subcarriers)
        groups: tuple[BlockGroup, ...] = (
            BlockGroup(size, n_subcarriers, 1, Forms(vectors[:, None], whole, leaf), senses=True),
            BlockGroup(q, n_subcarriers, n_users, Forms(share_vectors, shares, leaf), senses=False),
        )
        if self._relaxed.cones is not None:
            groups = (*groups, self._relaxed.groups[-1])
        thresholds = np.zeros((n_subcarriers, n_prices))
        thresholds[:, :n_users] = self._thresholds
        return replace(
            self._relaxed,
            groups=groups,
            thresholds=thresholds,
            interior=np.r_[np.zeros(n_users), svec(np.eye(q, dtype=complex))],
            split=Split(np.arange(q)[None], n_users),
        )

    def _signals(self, blocks: Blocks, seen: ComplexArray, basis: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        s = self.scenario
        covariances, shares = hermitian(blocks.groups[0][:, 0]), blocks.groups[1]
        filtered = covariances @ basis
        shared = np.einsum("luij,ljk,lku->liu", shares, adjoint(basis), seen, optimize=True)
        useful = np.real(np.einsum("lju,lji,liu->lu", seen.conj(), basis, shared, optimize=True))
        comm = filtered @ np.linalg.solve(adjoint(basis) @ filtered, shared) / np.sqrt(useful)[:, None, :]
        unit = s.tx_power / s.n_subcarriers
        return unit * covariances, np.sqrt(unit) * comm
