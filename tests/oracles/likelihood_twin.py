"""The concentrated position likelihood in plain numpy, written from Eq. (5) and vectorized over candidates.

It takes the same sufficient statistics, grid and starts as the compiled kernels and imports none of them. Sums over
antennas are matrix products over all candidates; blocks of silent nodes are left out.
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
        self.n_nodes, self.n_lines, self.n_rx, _, self.n_tx = cross.shape
        self.frequencies = 2 * np.pi * bandwidth_hz / self.n_lines * np.arange(self.n_lines)
        sent = np.einsum("lmimi->ml", gram).real > 0
        self.active = np.flatnonzero(sent.any(axis=1))
        self.lines = {m: np.flatnonzero(sent[m]) for m in self.active}
        self.data = {
            (n, m): cross[n, lines][:, :, m].transpose(1, 2, 0).reshape(self.n_rx, -1)
            for n in range(self.n_nodes)
            for m, lines in self.lines.items()
        }
        self.sent = {}
        for m in self.active:
            for m2 in self.active:
                lines = np.flatnonzero(sent[m] & sent[m2])
                if len(lines):
                    self.sent[m, m2] = lines, gram[lines][:, m2, :, m].transpose(1, 2, 0).reshape(self.n_tx, -1)

    def factors(self, theta, tau):
        """Receive and transmit steering (..., N, M) and delay factors (..., N, L) of link variables (..., N)."""
        phase = np.pi * np.sin(theta)[..., None]
        receive = np.exp(1j * phase * np.arange(self.n_rx))
        transmit = np.exp(1j * phase * np.arange(self.n_tx))
        return receive, transmit, np.exp(-1j * tau[..., None] * self.frequencies)

    def products(self, candidates):
        """g[..., n, a] = <phi_nm, Y_n> of candidates given by their factors, a over the nodes that transmit."""
        receive, transmit, delay = candidates
        out = np.empty((*receive.shape[:-2], self.n_nodes, len(self.active)), complex)
        for (n, m), block in self.data.items():
            lines = self.lines[m]
            steered = (receive[..., n, :].conj() @ block).reshape(*receive.shape[:-2], self.n_tx, len(lines))
            beams = (transmit[..., m, None, :].conj() @ steered)[..., 0, :]
            paths = delay[..., n, lines] * delay[..., m, lines]
            out[..., n, np.searchsorted(self.active, m)] = np.sum(beams * paths.conj(), axis=-1)
        return out

    def correlations(self, first, second):
        """Gamma[..., n, a, a'] = <phi_nm, phi'_nm'> of two broadcasting sets of factors."""
        (receive, transmit, delay), (receive2, transmit2, delay2) = first, second
        shape = np.broadcast_shapes(receive.shape[:-2], receive2.shape[:-2])
        out = np.zeros((*shape, self.n_nodes, len(self.active), len(self.active)), complex)
        turns = delay.conj() * delay2
        for (m, m2), (lines, block) in self.sent.items():
            half = (transmit2[..., m2, :] @ block).reshape(*receive2.shape[:-2], self.n_tx, len(lines))
            beams = (transmit[..., m, None, :].conj() @ half)[..., 0, :]
            beams = beams * (delay[..., m, lines].conj() * delay2[..., m2, lines])
            a, a2 = np.searchsorted(self.active, (m, m2))
            out[..., a, a2] = (turns[..., lines] @ beams[..., None])[..., 0]
        return out * np.sum(receive.conj() * receive2, axis=-1)[..., None, None]

    def own_correlations(self, candidates):
        """Gamma / M_r[..., a, a'] of single candidates with themselves, the same for all receivers."""
        _, transmit, delay = candidates
        out = np.zeros((*transmit.shape[:-2], len(self.active), len(self.active)), complex)
        for (m, m2), (lines, block) in self.sent.items():
            half = (transmit[..., m2, :] @ block).reshape(*transmit.shape[:-2], self.n_tx, len(lines))
            beams = (transmit[..., m, None, :].conj() @ half)[..., 0, :]
            if m != m2:
                beams = beams * (delay[..., m, lines].conj() * delay[..., m2, lines])
            a, a2 = np.searchsorted(self.active, (m, m2))
            out[..., a, a2] = beams.sum(axis=-1)
        return out

    def system(self, targets):
        """g (..., N, A) and Gamma (..., N, A, A) of sets of targets given by factors (..., K, N, .), A = K N_active."""
        n_targets = targets[0].shape[-3]
        size = n_targets * len(self.active)
        batch = targets[0].shape[:-3]
        rows = [factor[..., :, None, :, :] for factor in targets]
        columns = [factor[..., None, :, :, :] for factor in targets]
        pairs = np.moveaxis(self.correlations(rows, columns), (-3, -5, -2, -4, -1), range(-5, 0))
        g = np.moveaxis(self.products(targets), -2, -3)
        return g.reshape(*batch, self.n_nodes, size), pairs.reshape(*batch, self.n_nodes, size, size)

    def criterion(self, theta, tau):
        """Concentrated likelihood of sets of targets with link variables (..., K, N)."""
        g, gamma = self.system(self.factors(theta, tau))
        return np.sum((g.conj() * np.linalg.solve(gamma, g[..., None])[..., 0]).real, axis=(-2, -1))

    def gains(self, candidates, found=None):
        """Gain of one more target at each of G candidates (factors) beside found targets (factors)."""
        g = self.products(candidates)
        gamma = self.n_rx * self.own_correlations(candidates)
        if found is None:
            solved = np.linalg.solve(gamma, g.swapaxes(-1, -2))
            return np.sum((g.swapaxes(-1, -2).conj() * solved).real, axis=(1, 2))
        data, inside = self.system(found)
        across = self.correlations([factor[:, None] for factor in candidates], [factor[None] for factor in found])
        across = across.transpose(0, 2, 3, 1, 4).reshape(*g.shape[:2], len(self.active), -1)
        g = g - (across @ np.linalg.solve(inside, data[..., None]))[..., 0]
        gamma = gamma[:, None] - across @ np.linalg.inv(inside) @ across.conj().swapaxes(-1, -2)
        return np.sum((g.conj() * np.linalg.solve(gamma, g[..., None])[..., 0]).real, axis=(1, 2))

    def refine(self, nodes, orientations, start, area, difference=1e-4):
        """Maximum over positions near ``start`` (K, 2) inside the area, by bounded quasi-Newton from scipy.

        The gradient is a central difference whose points are evaluated together. Returns positions, value and the
        number of gradients.
        """
        size = start.size
        shifts = difference * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])

        def cost(point):
            sets = (point + shifts).reshape(-1, *start.shape)
            values = -self.criterion(*link_variables(nodes, orientations, sets)) / scale
            return values[0], (values[1 : size + 1] - values[size + 1 :]) / (2 * difference)

        scale = self.criterion(*link_variables(nodes, orientations, start))
        bounds = [tuple(area[i % 2]) for i in range(size)]
        options = {"ftol": 1e-15, "gtol": 1e-11}
        result = minimize(cost, start.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return result.x.reshape(-1, 2), -result.fun * scale, result.nfev
