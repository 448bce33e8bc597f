"""What a scenario's OFDM numbers mean, and where they contradict its geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from disac.simulator.geometry import SPEED_OF_LIGHT, path_delays
from disac.simulator.prefix import prefix_loss, whole_samples

if TYPE_CHECKING:
    from disac.simulator.scenario import Scenario

CLOSE_NODES_M = 1.0
"""Nodes nearer than this look like coordinates in degrees pasted as metres [m]."""


@dataclass(frozen=True)
class Description:
    """A scenario's derived quantities.

    Attributes
    ----------
    symbol_s, prefix_s : length of the OFDM symbol L/B without prefix, and of the cyclic prefix given [s].
    subcarrier_spacing_hz : B / L [Hz].
    path_delays_s : (N, N, K) delays of the paths m -> target k -> n, indexed [rx, tx, target] [s].
    prefix_needed : smallest cyclic prefix that holds every path delay [samples of 1/B].
    prefix_given : the scenario's cyclic prefix [samples].
    unambiguous_path_m : longest unambiguous path of a full carrier, c L / B [m].
    unambiguous_path_interleaved_m : the same for the link whose node's subcarriers lie on the widest comb, of spacing
        g, c L / (g B); g = N when they are interleaved [m].
    range_resolution_path_m : path length c / B that one delay bin spans [m].
    sensing_snr_db : (N, N, K) SNR of one received sample per antenna on the subcarriers of node m, with interleaved
        subcarriers and isotropic full power: |b|^2 M_t N P_T / sigma_s^2 [dB].
    integration_gain_db : gain of combining M_r antennas, the L/N subcarriers of a link and T symbols [dB].
    user_snr_db : (U,) mean over subcarriers of the largest SNR under the antenna limits from the serving node of each
        subcarrier alone, without interference, (sum_m |h_m|)^2 N P_T / sigma_c^2 [dB].
    warnings : sentences about numbers that contradict each other.
    """

    symbol_s: float
    prefix_s: float
    subcarrier_spacing_hz: float
    path_delays_s: NDArray[np.float64]
    prefix_needed: int
    prefix_given: int
    unambiguous_path_m: float
    unambiguous_path_interleaved_m: float
    range_resolution_path_m: float
    sensing_snr_db: NDArray[np.float64]
    integration_gain_db: float
    user_snr_db: NDArray[np.float64]
    warnings: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Pairs of a quantity's name and its printed value."""
        delays_ns = self.path_delays_s * 1e9
        rows = [
            ("OFDM symbol L/B", f"{self.symbol_s * 1e6:.4g} us"),
            ("subcarrier spacing B/L", f"{self.subcarrier_spacing_hz / 1e3:.6g} kHz"),
            ("path delays", f"{delays_ns.min():.4g} to {delays_ns.max():.4g} ns"),
            ("cyclic prefix given", f"{self.prefix_given} samples = {self.prefix_s * 1e9:.4g} ns"),
            ("cyclic prefix needed", f"{self.prefix_needed} samples"),
            ("path length per delay bin c/B", f"{self.range_resolution_path_m:.6g} m"),
            ("unambiguous path, full carrier cL/B", f"{self.unambiguous_path_m:.6g} m"),
            ("unambiguous path per link, cL/(gB)", f"{self.unambiguous_path_interleaved_m:.6g} m"),
            ("longest path", f"{self.path_delays_s.max() * SPEED_OF_LIGHT:.6g} m"),
        ]
        for rx, per_tx in enumerate(self.sensing_snr_db):
            rows.append(
                (
                    f"echo SNR per sample at node {rx}",
                    f"{per_tx.min():.1f} to {per_tx.max():.1f} dB over links and targets",
                )
            )
        rows.append(("gain of antennas, subcarriers, symbols", f"{self.integration_gain_db:.1f} dB"))
        rows += [(f"largest mean SNR at user {u}", f"{snr:.1f} dB") for u, snr in enumerate(self.user_snr_db)]
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])


def describe(scenario: Scenario) -> Description:
    """Derive symbol, prefix, delays, unambiguous lengths and link budget, and collect contradictions."""
    s = scenario
    geometry = s.target_geometry
    delays = path_delays(geometry.delay_s)
    symbol_s = s.n_subcarriers / s.bandwidth_hz
    prefix_s = s.n_cyclic_prefix / s.bandwidth_hz
    full_path = SPEED_OF_LIGHT * symbol_s
    sample_snr = np.abs(s.amplitudes) ** 2 * s.n_tx * s.n_nodes * s.tx_power / s.noise_sense
    served_by = s.channels[s.subcarrier_node, :, np.arange(s.n_subcarriers), :]
    user_snr = np.abs(served_by).sum(axis=-1) ** 2 * s.n_nodes * s.tx_power / s.noise_comm
    with np.errstate(divide="ignore"):
        sensing_snr_db = 10 * np.log10(sample_snr)
        user_snr_db = 10 * np.log10(user_snr.mean(axis=0))
    description = Description(
        symbol_s=symbol_s,
        prefix_s=prefix_s,
        subcarrier_spacing_hz=s.bandwidth_hz / s.n_subcarriers,
        path_delays_s=delays,
        prefix_needed=whole_samples(float(delays.max()) * s.bandwidth_hz),
        prefix_given=s.n_cyclic_prefix,
        unambiguous_path_m=full_path,
        unambiguous_path_interleaved_m=full_path / widest_comb(s),
        range_resolution_path_m=SPEED_OF_LIGHT / s.bandwidth_hz,
        sensing_snr_db=sensing_snr_db,
        integration_gain_db=float(10 * np.log10(s.n_rx * s.n_subcarriers / s.n_nodes * s.n_symbols)),
        user_snr_db=user_snr_db,
        warnings=tuple(_contradictions(s, delays, symbol_s, prefix_s, full_path / widest_comb(s))),
    )
    return description


def widest_comb(scenario: Scenario) -> int:
    """Largest spacing of a comb that holds all subcarriers of a node; N where a node has only one."""
    tones = [np.flatnonzero(scenario.subcarrier_node == node) for node in range(scenario.n_nodes)]
    return max(int(np.gcd.reduce(np.diff(own))) if len(own) > 1 else scenario.n_nodes for own in tones)


def _contradictions(
    s: Scenario, delays: NDArray[np.float64], symbol_s: float, prefix_s: float, unambiguous_m: float
) -> list[str]:
    warnings = []
    longest = delays.max()
    rx, tx, k = (int(i) for i in np.unravel_index(np.argmax(delays), delays.shape))
    path = f"the path node {tx} -> target {k} -> node {rx}"
    if whole_samples(longest * s.bandwidth_hz) > s.n_cyclic_prefix:
        warnings.append(
            f"{path} takes {longest * 1e9:.4g} ns, longer than the cyclic prefix of {prefix_s * 1e9:.4g} ns: "
            f"{_interference(s, float(longest))}, which Eq. (5) leaves out"
        )
    if whole_samples(longest * s.bandwidth_hz) > s.n_subcarriers:
        warnings.append(f"{path} takes {longest * 1e9:.4g} ns, longer than one OFDM symbol of {symbol_s * 1e9:.4g} ns")
    folded = int(np.sum(delays * SPEED_OF_LIGHT > unambiguous_m))
    if folded:
        warnings.append(
            f"{folded} of {delays.size} paths are longer than the {unambiguous_m:.6g} m that interleaved subcarriers "
            f"tell apart (longest {longest * SPEED_OF_LIGHT:.6g} m): their delay alone is ambiguous"
        )
    for i in range(s.n_nodes):
        for j in range(i + 1, s.n_nodes):
            apart = float(np.hypot(*(s.nodes[i] - s.nodes[j])))
            if apart < CLOSE_NODES_M:
                warnings.append(f"nodes {i} and {j} are {apart:.3g} m apart: are these degrees pasted as metres?")
    spread = np.linalg.svd(s.nodes - s.nodes.mean(axis=0), compute_uv=False)
    if s.n_nodes > 1 and spread[-1] <= 1e-6 * spread[0]:
        warnings.append(
            "all nodes lie on one line: delays alone cannot tell a target from its mirror image; the search of mode "
            "tof-nuisance begins on the side that the angles point to, so its error is that of an informed estimator"
        )
    warnings += _images(s)
    behind = np.argwhere(np.cos(s.target_geometry.angle) < 0)
    warnings += [
        f"target {k} lies behind node {n}: its array cannot tell front from back (sin theta repeats)" for n, k in behind
    ]
    outside = np.any((s.targets < s.area[:, 0]) | (s.targets > s.area[:, 1]), axis=1)
    warnings += [
        f"target {k} at {s.targets[k].tolist()} m lies outside the search area {s.area.tolist()}: it cannot be found"
        for k in np.flatnonzero(outside)
    ]
    return warnings


def _images(s: Scenario) -> list[str]:
    """Warnings of mirror images that neither angles nor delays tell from a target, where the search area holds one.

    Reflecting at a line through all nodes keeps the distances; it keeps sin theta at a node whose array lies along that
    line, and there alone. A single node's array always does.
    """
    along = s.orientations[0] + np.pi / 2
    axis = np.array([np.cos(along), np.sin(along)])
    normal = np.array([-axis[1], axis[0]])
    scale = max(float(np.abs(s.nodes).max()), 1.0)
    if np.any(np.abs(np.sin(s.orientations - s.orientations[0])) > 1e-9):
        return []
    if np.any(np.abs((s.nodes - s.nodes[0]) @ normal) > 1e-9 * scale):
        return []
    images = s.targets - 2 * ((s.targets - s.nodes[0]) @ normal)[:, None] * normal
    distinct = np.hypot(*(images - s.targets).T) > 1e-6
    inside = np.all((images >= s.area[:, 0]) & (images <= s.area[:, 1]), axis=1)
    arrays = "the node's array cannot" if s.n_nodes == 1 else "arrays along the line of all nodes cannot"
    return [
        f"{arrays} tell target {k} from its mirror image at ({images[k][0]:.6g}, {images[k][1]:.6g}) m, and the search "
        f"area {s.area.tolist()} holds both: half of the estimates will be there; leave it out of the area"
        for k in np.flatnonzero(distinct & inside)
    ]


def _interference(s: Scenario, delay_s: float) -> str:
    loss = prefix_loss(delay_s, s.n_subcarriers, s.n_cyclic_prefix, s.bandwidth_hz)
    if loss.useful == 0:
        return "nothing of the echo would be left in its own symbol"
    level_db = 10 * np.log10((loss.intercarrier + loss.intersymbol) / loss.useful)
    return f"real symbols would interfere {level_db:+.1f} dB relative to the useful echo"
