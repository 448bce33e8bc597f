r"""Two-step localization: path delays and angles link by link, then positions by weighted least squares.

*First step*, at each receiver: the echo of transmitter m from target k is a path with a delay, a direction of arrival
and one of departure, each a frequency over subcarriers or antennas. The strongest paths are found on a grid of these
three, then all paths of a receiver are fitted together by Gauss-Newton on the concentrated likelihood. Paths that noise
alone could have made are dropped, so that links without a signal do no harm.

*Second step*: a path's delay and one of its angles point at a few places of the search area; the place that most links
agree with is a target, and each link gives it the path that fits best. Then

.. math:: \hat q = \arg\min_q \sum_n (\hat\eta_n - \eta_n(q))^T W_n (\hat\eta_n - \eta_n(q)),

with the information W_n of receiver n about its paths, amplitudes eliminated, and the claimed covariance
(sum_n J_n^T W_n J_n)^{-1}. Delays and angles are compared modulo their period, so that a path beyond half of it, or an
array's image behind it, is one of several places that a path points at and the other links decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from disac.estimators.base import Estimate, NoEstimate, check_observation, register_estimator
from disac.simulator.geometry import SPEED_OF_LIGHT
from disac.simulator.scenario import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
AnyComplexArray = NDArray[np.complexfloating[Any, Any]]

FALSE_PATHS = 1e-3
"""Probability that noise alone makes a path in a link without a signal."""

GATE = 30.0
"""Squared distance, in units of its covariance, beyond which a path is not that of a target (3 degrees: 1.4e-6)."""

_FITTED = 40
"""Most Gauss-Newton steps of a fit."""

_LOOKED_AGAIN = 3
"""Rounds in which paths that a target lacks are fitted anew from its position."""

_TRIED = 6
"""Places from which a target is fitted."""


@dataclass(frozen=True, kw_only=True)
class TwoStepEstimate(Estimate):
    """Positions with their claimed covariance, and what they were made of.

    Attributes
    ----------
    paths : int
        Paths that were found in all links.
    used : int
        Paths that were given to a target.
    """

    paths: int
    used: int


@dataclass(frozen=True)
class _Paths:
    """Paths of one receiver.

    ``tx``: (P,) transmitters. ``eta``: (P, 3) delay [rad per subcarrier], sine of the angle of arrival, of departure.
    ``information``: (3P, 3P) in units of the noise variance. ``strength``: (P,) squared amplitude over its variance, in
    the same unit. ``residual``: energy that the paths leave.
    """

    tx: NDArray[np.intp]
    eta: RealArray
    information: RealArray
    strength: RealArray
    residual: float


@register_estimator("two-step", label="two-step")
class TwoStep:
    """Delay and angles of every link, then weighted least squares; see the module.

    Parameters
    ----------
    scenario : Scenario
        Nodes, orientations, antennas, bandwidth, search area and number of targets are read; targets, amplitudes and
        noise powers are not.

    Raises
    ------
    ValueError : no array has two antennas, so that no link has an angle.
    """

    bound = "hybrid"
    efficient = False

    def __init__(self, scenario: Scenario) -> None:
        if max(scenario.n_tx, scenario.n_rx) < 2:
            raise ValueError(
                "n_tx = n_rx = 1: the two-step estimator needs an angle, so one of them must be at least 2"
            )
        self._scenario = scenario
        self._scale = 2 * np.pi * scenario.bandwidth_hz / (scenario.n_subcarriers * SPEED_OF_LIGHT)
        along = np.stack([np.cos(scenario.orientations), np.sin(scenario.orientations)], axis=-1)
        self._broadside, self._across = along, np.stack([-along[:, 1], along[:, 0]], axis=-1)

    def __call__(self, X: AnyComplexArray, Y: AnyComplexArray) -> TwoStepEstimate:
        """Estimate from transmit symbols X (N, M_t, L, T) and received samples Y (N, M_r, L, T).

        Raises
        ------
        ValueError : a wrong shape, or a value that is not finite.
        NoEstimate : nothing was sent or received, too few paths were found, or they do not fix the positions.
        """
        check_observation(self._scenario, X, Y)
        if not X.any():
            raise NoEstimate("X = 0: no node transmits, so nothing tells where the targets are")
        if not Y.any():
            raise NoEstimate("Y = 0: nothing was received")
        steps = np.array([_comb_step(np.flatnonzero(sent.any(axis=(0, 2)))) for sent in X])
        n_samples = Y.size
        X, Y, left_out = _compressed(np.asarray(X, dtype=complex), np.asarray(Y, dtype=complex))
        found = [_fit_paths(X, y, _find_paths(X, y, self._scenario.n_targets)) for y in Y]
        found, variance = self._significant(X, Y, found, n_samples, left_out)
        measured = _Measured.of(found, variance, steps)
        estimate, assigned = self._locate(measured)
        for _ in range(_LOOKED_AGAIN):
            again = self._look_again(X, Y, found, measured, assigned, estimate.positions, variance)
            if all(new is old for new, old in zip(again, found, strict=True)):
                break
            found, variance = self._significant(X, Y, again, n_samples, left_out)
            measured = _Measured.of(found, variance, steps)
            estimate, assigned = self._locate(measured, estimate.positions)
        return estimate

    def _significant(
        self, X: ComplexArray, Y: ComplexArray, found: list[_Paths], n_samples: int, left_out: float
    ) -> tuple[list[_Paths], float]:
        """The paths that noise alone would not make, fitted without the others, and the noise variance of a sample."""
        s = self._scenario
        least = 1e-24 * float(np.vdot(Y, Y).real) / n_samples
        for _ in range(3):
            free = n_samples - 2.5 * sum(len(paths.tx) for paths in found)
            variance = max((left_out + sum(paths.residual for paths in found)) / max(free, 1.0), least)
            limit = np.log(s.n_subcarriers * s.n_rx * s.n_tx / FALSE_PATHS) * variance
            kept = [paths.strength > limit for paths in found]
            if all(keep.all() for keep in kept):
                break
            found = [
                paths if keep.all() else _fit_paths(X, y, (paths.tx[keep], paths.eta[keep]))
                for y, paths, keep in zip(Y, found, kept, strict=True)
            ]
        return found, variance

    def _look_again(
        self,
        X: ComplexArray,
        Y: ComplexArray,
        found: list[_Paths],
        measured: _Measured,
        assigned: NDArray[np.intp],
        positions: RealArray,
        variance: float,
    ) -> list[_Paths]:
        """Paths of each receiver that miss a target, fitted anew from where its position says that its path should be.

        A delay can sit on a neighbouring lobe that is nearly as high, as signals on few subcarriers make them. The new
        fit is taken unless it explains less by more than noise would.
        """
        distance, sine, _ = self._seen_from(positions)
        active = [m for m, sent in enumerate(X) if sent.any()]
        out = []
        for n, paths in enumerate(found):
            tx, eta, missed = [], [], False
            for m, k in product(active, range(len(positions))):
                own = np.flatnonzero((measured.rx == n) & (measured.tx == m) & (assigned == k))
                expected = np.array([self._scale * (distance[n, k] + distance[m, k]), sine[n, k], sine[m, k]])
                missed |= not len(own)
                tx.append(m)
                eta.append(measured.eta[own[0]] if len(own) else expected)
            new = _fit_paths(X, Y[n], (np.array(tx), np.array(eta))) if missed else paths
            out.append(new if new.residual < paths.residual + GATE * variance else paths)
        return out

    def _locate(
        self, measured: _Measured, positions: RealArray | None = None
    ) -> tuple[TwoStepEstimate, NDArray[np.intp]]:
        """Associate paths with targets, one target after the other or all with those known, and fit."""
        assigned = np.full(len(measured.rx), -1)
        if positions is None:
            free = np.ones(len(measured.rx), dtype=bool)
            places: list[RealArray] = []
            for k in range(self._scenario.n_targets):
                place, own = self._next_target(measured, free)
                places.append(place)
                assigned[own], free[own] = k, False
            positions = np.array(places)
        else:
            assigned = self._assign(measured, positions)
        for _ in range(4):
            positions, covariance, converged = self._fit(measured, assigned, positions)
            again = self._assign(measured, positions)
            if np.array_equal(again, assigned):
                break
            assigned = again
        else:
            converged = False
        estimate = TwoStepEstimate(
            positions=positions,
            covariance=covariance,
            converged=converged,
            paths=len(measured.rx),
            used=int(np.sum(assigned >= 0)),
        )
        return estimate, assigned

    def _next_target(self, measured: _Measured, free: NDArray[np.bool_]) -> tuple[RealArray, NDArray[np.intp]]:
        """The place that the free paths agree with best, and its paths, one of a link."""
        candidates = self._places(measured, free)
        if not len(candidates):
            raise NoEstimate("the paths that were found point at no place of the search area")
        usable = np.flatnonzero(free)
        residuals = measured.residuals(self._predicted(measured, candidates))[:, usable]
        wide = np.sum(residuals**2 / measured.tolerance[usable] ** 2, axis=-1)
        score = np.zeros(len(candidates))
        for link in np.unique(measured.link[usable]):
            score += np.maximum(0.0, 1 - wide[:, measured.link[usable] == link].min(axis=1) / 9)
        best: tuple[float, RealArray, NDArray[np.intp]] | None = None
        tried: list[RealArray] = []
        for i in np.argsort(-score, kind="stable"):
            place = candidates[i]
            if len(tried) == _TRIED or score[i] <= 0:
                break
            if any(np.all(np.abs(place - other) < 1e-3 * np.ptp(self._scenario.area)) for other in tried):
                continue
            tried.append(place)
            own = measured.one_of_a_link(usable[wide[i] < 9], wide[i][wide[i] < 9])
            found = self._settle(measured, usable, place, own)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        if best is None:
            raise NoEstimate("no place of the search area agrees with the paths that were found")
        return best[1], best[2]

    def _settle(
        self, measured: _Measured, usable: NDArray[np.intp], place: RealArray, own: NDArray[np.intp]
    ) -> tuple[float, RealArray, NDArray[np.intp]] | None:
        """Cost, place and paths of a target that begins at a place with some paths; None where they do not fix it."""
        cost = np.inf
        for _ in range(4):
            assigned = np.full(len(measured.rx), -1)
            assigned[own] = 0
            try:
                place = self._fit(measured, assigned, place[None])[0][0]
            except NoEstimate:
                return None
            distance = measured.distances(self._predicted(measured, place[None]))[0, usable]
            near = distance < GATE
            again = measured.one_of_a_link(usable[near], distance[near])
            chosen = distance[np.isin(usable, again)]
            links = len(np.unique(measured.link[usable]))
            cost = float(chosen.sum() + GATE * (links - len(again)))
            if np.array_equal(again, own):
                break
            own = again
        area, slack = self._scenario.area, 0.01 * np.ptp(self._scenario.area, axis=1)
        inside = np.all((place >= area[:, 0] - slack) & (place <= area[:, 1] + slack))
        return (cost, place, own) if len(own) and inside else None

    def _assign(self, measured: _Measured, positions: RealArray) -> NDArray[np.intp]:
        """Target of every path, -1 for none: in each link the assignment of least squared distance."""
        distance = np.minimum(measured.distances(self._predicted(measured, positions)), GATE)
        assigned = np.full(len(measured.rx), -1)
        for link in np.unique(measured.link):
            own = np.flatnonzero(measured.link == link)
            for k, i in zip(*linear_sum_assignment(distance[:, own]), strict=True):
                if distance[k, own[i]] < GATE:
                    assigned[own[i]] = k
        return assigned

    def _places(self, measured: _Measured, free: NDArray[np.bool_]) -> RealArray:
        """(C, 2) places in the area at which the delay and one angle of a path point, over wraps and images."""
        s, places = self._scenario, []
        corners = np.array(list(product(*s.area)))
        for i in np.flatnonzero(free):
            rx, tx = measured.rx[i], measured.tx[i]
            longest = np.max(np.hypot(*(corners - s.nodes[rx]).T) + np.hypot(*(corners - s.nodes[tx]).T))
            period = 2 * np.pi / (measured.step[i] * self._scale)
            shortest = measured.eta[i, 0] / self._scale % period
            paths = shortest + period * np.arange(int(max(longest - shortest, 0) // period) + 1)
            for here, there, axis, antennas in ((rx, tx, 1, s.n_rx), (tx, rx, 2, s.n_tx)):
                if antennas == 1:
                    continue
                u = (measured.eta[i, axis] + 1) % 2 - 1
                along = np.sqrt(max(1 - u**2, 0.0)) * self._broadside[here]
                for ray in (u * self._across[here] + along, u * self._across[here] - along):
                    apart = s.nodes[here] - s.nodes[there]
                    reach = 2 * (paths + ray @ apart)
                    distance = np.divide(paths**2 - apart @ apart, reach, out=np.zeros_like(paths), where=reach > 0)
                    places.append(s.nodes[here] + distance[distance > 0, None] * ray)
        found = np.concatenate(places) if places else np.empty((0, 2))
        return found[np.all((found >= s.area[:, 0]) & (found <= s.area[:, 1]), axis=1)]

    def _seen_from(self, points: RealArray) -> tuple[RealArray, RealArray, RealArray]:
        """Distance and sine of the angle of points (C, 2) from every node, (N, C), and unit vectors (N, C, 2)."""
        offsets = points[None] - self._scenario.nodes[:, None]
        distance = np.maximum(np.hypot(offsets[..., 0], offsets[..., 1]), 1e-9)
        unit = offsets / distance[..., None]
        return distance, np.einsum("nci,ni->nc", unit, self._across), unit

    def _predicted(self, measured: _Measured, points: RealArray) -> RealArray:
        """(C, P, 3) delay and angles that every path would have, were its target at each of C points."""
        distance, sine, _ = self._seen_from(points)
        rx, tx = measured.rx, measured.tx
        return np.stack([self._scale * (distance[rx] + distance[tx]), sine[rx], sine[tx]], axis=-1).swapaxes(0, 1)

    def _gradient(self, measured: _Measured, chosen: NDArray[np.intp], points: RealArray) -> RealArray:
        """(P', 3, 2) derivatives of delay and angles of chosen paths by the positions (P', 2) of their targets."""
        distance, sine, unit = self._seen_from(points)
        at = np.arange(len(chosen))
        rows = []
        for node in (measured.rx[chosen], measured.tx[chosen]):
            own = unit[node, at]
            across = (self._across[node] - sine[node, at, None] * own) / distance[node, at, None]
            rows.append((own, across))
        return np.stack([self._scale * (rows[0][0] + rows[1][0]), rows[0][1], rows[1][1]], axis=1)

    def _fit(
        self, measured: _Measured, assigned: NDArray[np.intp], positions: RealArray
    ) -> tuple[RealArray, RealArray, bool]:
        """Weighted least squares of all positions (K, 2): estimate, claimed covariance, and whether it converged.

        Raises
        ------
        NoEstimate : the paths do not fix the positions.
        """
        n_targets = len(positions)
        chosen, information = measured.information_of(assigned)
        targets = assigned[chosen]
        if 3 * len(chosen) < 2 * n_targets or len(set(targets.tolist())) < n_targets:
            raise NoEstimate(f"{len(chosen)} paths were found for {n_targets} targets: too few to fix their positions")
        selected = np.zeros((len(chosen), 3, 2 * n_targets))
        at, converged = np.arange(len(chosen)), False

        def cost(places: RealArray) -> tuple[float, RealArray]:
            away = measured.residuals(self._predicted(measured, places))[targets, chosen].ravel()
            return float(away @ information @ away), away

        value, away = cost(positions)
        damping = 0.0
        for _ in range(_FITTED):
            slope = self._gradient(measured, chosen, positions[targets])
            selected[at, :, targets], selected[at, :, n_targets + targets] = slope[..., 0], slope[..., 1]
            rows = selected.reshape(-1, 2 * n_targets)
            normal, pull = rows.T @ information @ rows, rows.T @ information @ away
            units = np.sqrt(np.diag(normal))
            if not np.all(units > 0) or np.linalg.cond(normal / np.outer(units, units)) > 1e13:
                raise NoEstimate("the paths that were found do not fix the positions")
            step = np.linalg.solve(normal / np.outer(units, units) + damping * np.eye(len(units)), pull / units) / units
            moved = positions + step.reshape(2, n_targets).T
            tried, tried_away = cost(moved)
            if tried <= value * (1 + 1e-12):
                positions, value, away, damping = moved, tried, tried_away, damping / 10 if damping > 1e-6 else 0.0
                if float(step @ normal @ step) < 1e-16:
                    converged = True
                    break
            elif damping > 1e6:
                converged = float(step @ normal @ step) < 1e-12
                break
            else:
                damping = max(10 * damping, 1e-3)
        covariance = np.asarray(np.linalg.inv(normal), dtype=float)
        return positions, covariance, converged


@dataclass(frozen=True)
class _Measured:
    """All paths of all receivers, one after the other (P of them).

    ``rx``, ``tx``: nodes. ``link``: number of the link. ``step``: spacing of its transmitter's subcarriers. ``eta``:
    see :class:`_Paths`. ``weight``: (P, 3, 3) information about each path alone. ``tolerance``: (P, 3) within which a
    place counts as the path's before it is known better. ``information``: about all paths, of each receiver.
    """

    rx: NDArray[np.intp]
    tx: NDArray[np.intp]
    link: NDArray[np.intp]
    step: NDArray[np.intp]
    eta: RealArray
    weight: RealArray
    tolerance: RealArray
    information: tuple[RealArray, ...]

    @classmethod
    def of(cls, receivers: Sequence[_Paths], variance: float, steps: NDArray[np.intp]) -> _Measured:
        """From the paths of each receiver and the noise variance."""
        rx = np.concatenate([np.full(len(paths.tx), n) for n, paths in enumerate(receivers)])
        tx = np.concatenate([paths.tx for paths in receivers])
        information = tuple(paths.information / variance for paths in receivers)
        weight = np.concatenate([_marginal(each) for each in information]) if len(rx) else np.empty((0, 3, 3))
        known = np.einsum("pii->pi", weight)
        deviation = np.where(known > 0, 1 / np.sqrt(np.where(known > 0, known, 1.0)), np.inf)
        step = steps[tx]
        cells = np.stack([np.pi / (8 * step), np.full(len(rx), 0.1), np.full(len(rx), 0.1)], axis=-1)
        return cls(
            rx=rx,
            tx=tx,
            link=rx * len(receivers) + tx,
            step=step,
            eta=np.concatenate([paths.eta for paths in receivers]),
            weight=weight,
            tolerance=np.hypot(cells, deviation),
            information=information,
        )

    def residuals(self, predicted: RealArray) -> RealArray:
        """(C, P, 3) measured less predicted, each within half a period."""
        period = np.stack([2 * np.pi / self.step, np.full(len(self.step), 2.0), np.full(len(self.step), 2.0)], axis=-1)
        away = self.eta - predicted
        wrapped: RealArray = away - period * np.round(away / period)
        return wrapped

    def distances(self, predicted: RealArray) -> RealArray:
        """(C, P) squared distances in units of each path's own covariance."""
        away = self.residuals(predicted)
        squared: RealArray = np.einsum("cpi,pij,cpj->cp", away, self.weight, away)
        return squared

    def one_of_a_link(self, paths: NDArray[np.intp], cost: RealArray) -> NDArray[np.intp]:
        """The cheapest path of every link among these, in order."""
        best: dict[int, tuple[float, int]] = {}
        for path, price in zip(paths.tolist(), cost.tolist(), strict=True):
            link = int(self.link[path])
            best[link] = min(best.get(link, (np.inf, -1)), (price, path))
        return np.array(sorted(path for _, path in best.values()), dtype=np.intp)

    def information_of(self, assigned: NDArray[np.intp]) -> tuple[NDArray[np.intp], RealArray]:
        """Assigned paths, and the (3P', 3P') information about them when the others are nuisance parameters."""
        chosen = np.flatnonzero(assigned >= 0)
        total = np.zeros((3 * len(chosen), 3 * len(chosen)))
        row = first = 0
        for each in self.information:
            n_paths = len(each) // 3
            kept = np.repeat(assigned[first : first + n_paths] >= 0, 3)
            block = _eliminated(each, kept)
            total[row : row + len(block), row : row + len(block)] = block
            row, first = row + len(block), first + n_paths
        return chosen, total


def _eliminated(information: RealArray, kept: NDArray[np.bool_]) -> RealArray:
    """Information about the kept parameters when the others are unknown; those without information are left out."""
    other = ~kept & (np.diag(information) > 0)
    block = information[np.ix_(kept, kept)]
    if other.any():
        cross, rest = information[np.ix_(kept, other)], information[np.ix_(other, other)]
        block = block - cross @ np.linalg.pinv(rest, hermitian=True) @ cross.T
    return np.asarray((block + block.T) / 2)


def _marginal(information: RealArray) -> RealArray:
    """(P, 3, 3) information about each path when the others of its receiver are unknown."""
    n_paths = len(information) // 3
    own = [np.repeat(np.arange(n_paths) == p, 3) for p in range(n_paths)]
    return np.array([_eliminated(information, kept) for kept in own]).reshape(n_paths, 3, 3)


def _comb_step(used: NDArray[np.intp]) -> int:
    """Greatest common divisor of the spacings of subcarriers, by which delays repeat; 1 for fewer than two."""
    return reduce(gcd, np.diff(used).tolist(), 0) or 1


def _compressed(X: ComplexArray, Y: ComplexArray) -> tuple[ComplexArray, ComplexArray, float]:
    """X and Y with no more symbols than X has rows, and the energy of Y in the symbols left out: noise alone."""
    n_nodes, n_tx, n_subcarriers, n_symbols = X.shape
    rows = n_nodes * n_tx
    if n_symbols <= rows:
        return X, Y, 0.0
    sent = X.transpose(2, 0, 1, 3).reshape(n_subcarriers, rows, n_symbols)
    basis, triangle = np.linalg.qr(sent.conj().swapaxes(1, 2))
    kept = np.einsum("nmlt,ltr->nmlr", Y, basis)
    left_out = float(np.vdot(Y, Y).real - np.vdot(kept, kept).real)
    X = triangle.conj().swapaxes(1, 2).reshape(n_subcarriers, n_nodes, n_tx, rows).transpose(1, 2, 0, 3)
    return X, kept, max(left_out, 0.0)


def _find_paths(X: ComplexArray, y: ComplexArray, n_targets: int) -> tuple[NDArray[np.intp], RealArray]:
    """Transmitters and first values of the strongest paths of one receiver, ``n_targets`` of each active transmitter.

    A path is the highest peak, over a grid of delay and both angles, of what those before it leave.
    """
    active = [m for m, sent in enumerate(X) if sent.any()]
    used = np.array([X[m].any(axis=(0, 2)) for m in active])
    apart = bool(np.all(used.sum(axis=0) <= 1))
    tx: list[int] = []
    eta: list[RealArray] = []
    left = y
    for _ in range(n_targets):
        waiting = list(active)
        while waiting:
            peaks = [_highest_peak(X[m], left) for m in waiting]
            chosen = range(len(waiting)) if apart else [int(np.argmax([value for value, _ in peaks]))]
            tx += [waiting[i] for i in chosen]
            eta += [peaks[i][1] for i in chosen]
            waiting = [m for i, m in enumerate(waiting) if i not in set(chosen)]
            if waiting or len(tx) < n_targets * len(active):
                fitted = _fit_paths(X, y, (np.array(tx), np.array(eta)), steps=3)
                tx, eta = fitted.tx.tolist(), list(fitted.eta)
                left = y - _explained(X, y, fitted)
    return np.array(tx, dtype=np.intp), np.array(eta).reshape(-1, 3)


def _highest_peak(sent: ComplexArray, left: ComplexArray) -> tuple[float, RealArray]:
    """Energy that the best path of one transmitter explains on a grid, and its delay and angles."""
    n_tx, n_subcarriers, _ = sent.shape
    n_rx = left.shape[0]
    sizes = (4 * n_subcarriers, 2 * n_rx if n_rx > 1 else 1, 2 * n_tx if n_tx > 1 else 1)
    cross = np.einsum("rlt,mlt->lrm", left, sent.conj())
    spectrum = np.fft.ifft(cross, sizes[0], axis=0) * sizes[0]
    spectrum = np.fft.fft(np.fft.fft(spectrum, sizes[1], axis=1), sizes[2], axis=2)
    beams = np.fft.ifft(sent, sizes[2], axis=0) * sizes[2]
    power = n_rx * np.sum(np.abs(beams) ** 2, axis=(1, 2))
    gain = np.abs(spectrum) ** 2 / np.where(power > 1e-6 * power.max(), power, np.inf)
    place = np.array(np.unravel_index(int(np.argmax(gain)), gain.shape))
    turns = place / np.array(sizes)
    turns[1:] -= np.round(turns[1:])
    return float(gain.max()), np.array([2 * np.pi, 2.0, 2.0]) * turns


def _responses(X: ComplexArray, tx: NDArray[np.intp], eta: RealArray, n_rx: int) -> ComplexArray:
    """(4, P, M_r L T) unit echoes of paths, and their derivatives by delay, angle of arrival and of departure."""
    n_tx, n_subcarriers = X.shape[1:3]
    antennas, elements = np.arange(n_tx), np.arange(n_rx)
    tones = np.arange(n_subcarriers) - (n_subcarriers - 1) / 2
    depart = np.exp(1j * np.pi * eta[:, 2, None] * antennas)
    beam = np.einsum("pm,pmlt->plt", depart, X[tx])
    turned = np.einsum("pm,pmlt->plt", 1j * np.pi * antennas * depart, X[tx])
    lag = np.exp(-1j * eta[:, 0, None] * tones)[..., None]
    beam, turned = lag * beam, lag * turned
    arrive = np.exp(1j * np.pi * eta[:, 1, None] * elements)[:, :, None, None]
    unit = arrive * beam[:, None]
    out = np.stack(
        [
            unit,
            (-1j * tones)[:, None] * unit,
            (1j * np.pi * elements)[:, None, None] * unit,
            arrive * turned[:, None],
        ]
    )
    return out.reshape(4, len(tx), -1)


def _linear(X: ComplexArray, y: ComplexArray, tx: NDArray[np.intp], eta: RealArray) -> tuple[Any, ...]:
    """Responses, orthonormal basis of the unit echoes, its triangle, amplitudes and residual at path parameters."""
    responses = _responses(X, tx, eta, y.shape[0])
    basis, triangle = np.linalg.qr(responses[0].T)
    data = y.ravel()
    inside = basis.conj().T @ data
    amplitudes = np.linalg.lstsq(triangle, inside, rcond=1e-12)[0]
    return responses, basis, triangle, amplitudes, data - basis @ inside


def _explained(X: ComplexArray, y: ComplexArray, paths: _Paths) -> ComplexArray:
    """What the paths explain of a receiver's samples."""
    residual = _linear(X, y, paths.tx, paths.eta)[4]
    return np.asarray(y - residual.reshape(y.shape))


def _fit_paths(
    X: ComplexArray, y: ComplexArray, start: tuple[NDArray[np.intp], RealArray], steps: int = _FITTED
) -> _Paths:
    """Gauss-Newton on the concentrated likelihood of all paths of one receiver, damped where a step does not help."""
    tx, eta = start
    energy = float(np.vdot(y, y).real)
    if len(tx) == 0:
        return _Paths(tx, eta.reshape(0, 3), np.zeros((0, 0)), np.zeros(0), energy)
    now = _linear(X, y, tx, eta)
    value, damping = float(np.vdot(now[4], now[4]).real), 1e-3
    for _ in range(steps):
        normal, pull = _normal(*now)
        units = np.sqrt(np.where(np.diag(normal) > 0, np.diag(normal), 1.0))
        scaled = normal / np.outer(units, units)
        step = np.linalg.solve(scaled + (damping + 1e-14) * np.eye(len(units)), pull / units) / units
        tried = eta + step.reshape(-1, 3)
        there = _linear(X, y, tx, tried)
        left = float(np.vdot(there[4], there[4]).real)
        if left <= value:
            gained, eta, now, value, damping = value - left, tried, there, left, damping / 10
            if gained <= 1e-12 * value + 1e-30 * energy and float(step @ pull) <= 1e-12 * value + 1e-30 * energy:
                break
        elif damping > 1e4 or float(step @ pull) <= 1e-14 * value + 1e-30 * energy:
            break
        else:
            damping *= 10
    normal, _ = _normal(*now)
    triangle, amplitudes = now[2], now[3]
    spread = np.sum(np.abs(np.linalg.pinv(triangle)) ** 2, axis=1)
    return _Paths(tx, eta, 2 * normal, np.abs(amplitudes) ** 2 / spread, value)


def _normal(
    responses: ComplexArray,
    basis: ComplexArray,
    triangle: ComplexArray,
    amplitudes: ComplexArray,
    residual: ComplexArray,
) -> tuple[RealArray, RealArray]:
    """Normal matrix (3P, 3P) and right side of a Gauss-Newton step, amplitudes eliminated."""
    slopes = (amplitudes[:, None] * responses[1:]).transpose(1, 0, 2).reshape(-1, responses.shape[-1])
    slopes = slopes - (slopes @ basis.conj()) @ basis.T
    normal = (slopes.conj() @ slopes.T).real
    return (normal + normal.T) / 2, (slopes.conj() @ residual).real
