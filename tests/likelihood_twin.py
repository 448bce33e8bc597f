"""The concentrated position likelihood in plain numpy, written from Eq. (5) and vectorized over candidates.

It takes the same sufficient statistics, grid and starts as the compiled kernels and imports none of them.
"""

import numpy as np
from scipy.optimize import minimize

C = 299_792_458.0


def link_variables(nodes, orientations, points):
    """Angles [rad] and one-way delays [s] of (..., 2) points, (..., N) each."""
    offset = points[..., None, :] - nodes
    return np.arctan2(offset[..., 1], offset[..., 0]) - orientations, np.hypot(offset[..., 0], offset[..., 1]) / C


class Twin:
    """Statistics of one trial with the sums that every candidate needs.

    Parameters
    ----------
    cross : (N, L, M_r, N, M_t) and gram (L, N, M_t, N, M_t) as in ``disac.estimators.Statistics``.
    """

    def __init__(self, cross, gram, bandwidth_hz):
        self.cross, self.gram = cross, gram
        self.n_nodes, self.n_lines, self.n_rx, _, self.n_tx = cross.shape
        self.frequencies = 2 * np.pi * bandwidth_hz / self.n_lines * np.arange(self.n_lines)
        power = np.einsum("lmimi->lm", gram).real
        self.active = np.flatnonzero(power.sum(axis=0) > 0)
        self.lines = [np.flatnonzero(power[:, m] > 0) for m in range(self.n_nodes)]

    def factors(self, theta, tau):
        """Receive and transmit steering (..., N, M) and delay factors (..., N, L)."""
        phase = np.pi * np.sin(theta)[..., None]
        receive = np.exp(1j * phase * np.arange(self.n_rx))
        transmit = np.exp(1j * phase * np.arange(self.n_tx))
        return receive, transmit, np.exp(-1j * tau[..., None] * self.frequencies)

    def products(self, theta, tau):
        """g[..., n, m] = <phi_nm, Y_n> of candidates with link variables (..., N)."""
        receive, transmit, delay = self.factors(theta, tau)
        out = np.zeros((*theta.shape[:-1], self.n_nodes, self.n_nodes), complex)
        for n in range(self.n_nodes):
            for m in self.active:
                lines = self.lines[m]
                block = self.cross[n, lines][:, :, m].transpose(1, 2, 0).reshape(self.n_rx, -1)
                steered = (receive[..., n, :].conj() @ block).reshape(*theta.shape[:-1], self.n_tx, len(lines))
                beams = np.einsum("...i,...il->...l", transmit[..., m, :].conj(), steered)
                out[..., n, m] = np.sum(beams * (delay[..., n, lines] * delay[..., m, lines]).conj(), axis=-1)
        return out

    def correlations(self, first, second):
        """Gamma[..., n, m, m'] = <phi_nm, phi'_nm'> of two broadcasting sets of link variables (theta, tau)."""
        receive, transmit, delay = self.factors(*first)
        receive2, transmit2, delay2 = self.factors(*second)
        shape = np.broadcast_shapes(first[0].shape[:-1], second[0].shape[:-1])
        out = np.zeros((*shape, self.n_nodes, self.n_nodes, self.n_nodes), complex)
        for m in self.active:
            for m2 in self.active:
                lines = np.intersect1d(self.lines[m], self.lines[m2])
                if not len(lines):
                    continue
                block = self.gram[lines][:, m2, :, m].transpose(1, 2, 0).reshape(self.n_tx, -1)
                half = (transmit2[..., m2, :] @ block).reshape(*second[0].shape[:-1], self.n_tx, len(lines))
                beams = np.einsum("...i,...il->...l", transmit[..., m, :].conj(), half)
                beams = beams * delay[..., m, lines].conj() * delay2[..., m2, lines]
                turns = delay[..., lines].conj() * delay2[..., lines]
                out[..., m, m2] = np.einsum("...l,...nl->...n", beams, turns)
        return out * np.einsum("...nr,...nr->...n", receive.conj(), receive2)[..., None, None]

    def system(self, theta, tau):
        """g (N, A) and Gamma (N, A, A) of a set of targets with link variables (K, N), A = K N_active."""
        pairs = self.correlations((theta[:, None], tau[:, None]), (theta[None], tau[None]))
        pairs = pairs[..., self.active, :][..., self.active]
        gamma = pairs.transpose(2, 0, 3, 1, 4).reshape(self.n_nodes, -1, len(theta) * len(self.active))
        g = self.products(theta, tau)[..., self.active].transpose(1, 0, 2).reshape(self.n_nodes, -1)
        return g, gamma

    def criterion(self, theta, tau):
        """Concentrated likelihood of targets with link variables (K, N)."""
        g, gamma = self.system(theta, tau)
        return np.sum((g.conj() * np.linalg.solve(gamma, g[..., None])[..., 0]).real)

    def gains(self, theta, tau, found=None):
        """Gain of one more target at each of G candidates (G, N) beside found targets (theta, tau), (K', N) each."""
        g = self.products(theta, tau)[..., self.active]
        gamma = self.correlations((theta, tau), (theta, tau))[..., self.active, :][..., self.active]
        if found is not None and len(found[0]):
            data, inside = self.system(*found)
            across = self.correlations((theta[:, None], tau[:, None]), (found[0][None], found[1][None]))
            across = across[..., self.active, :][..., self.active].transpose(0, 2, 3, 1, 4)
            across = across.reshape(*gamma.shape[:3], -1)
            weights = np.linalg.solve(inside, across.conj().swapaxes(-1, -2))
            g = g - np.einsum("gnma,na->gnm", across, np.linalg.solve(inside, data[..., None])[..., 0])
            gamma = gamma - across @ weights
        return np.sum((g.conj() * np.linalg.solve(gamma, g[..., None])[..., 0]).real, axis=(1, 2))

    def refine(self, nodes, orientations, start, area):
        """Maximum over positions near ``start`` (K, 2) inside the area, by bounded quasi-Newton from scipy."""

        def cost(point):
            return -self.criterion(*link_variables(nodes, orientations, point.reshape(-1, 2)))

        scale = abs(cost(start.ravel()))
        bounds = [tuple(area[i % 2]) for i in range(start.size)]
        result = minimize(
            lambda p: cost(p) / scale,
            start.ravel(),
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-15, "gtol": 1e-12},
        )
        return result.x.reshape(-1, 2), -result.fun * scale, result.nfev
