"""Range sidelobes of designs over random draws of amplitudes and channels, as an experiment of the runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.trials.experiment import Column, Record
from disac.experiments.trials.keys import Point, PointValue, Purpose, TrialKey, plain_point
from disac.simulator import Scenario
from disac.simulator.random_models import RandomAmplitudes, RandomChannels

if TYPE_CHECKING:
    from disac.designs import DesignResult
    from disac.estimators.range_profile import EchoSpectrum

RealArray = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class SidelobeSweep:
    """Matched-filter range profiles of every node towards every target; a trial is one draw, the same at every point.

    Main lobe and period are those of equal energies on the node's subcarriers. Own minima would not do: a profile of
    few uneven tones may have no second maximum and yet hardly fall.

    Attributes
    ----------
    scenario : what the draws have in common; amplitudes and channels are drawn from its models, or from the paper's.
    designs : names known to :func:`disac.designs.design`.
    sinr_db : thresholds Gamma_c [dB].
    n_symbols : numbers of OFDM symbols T for which each draw's symbols are drawn and profiled too.
    order : QAM order of those symbols.
    """

    scenario: Scenario
    designs: tuple[str, ...]
    sinr_db: tuple[float, ...]
    n_symbols: tuple[int, ...] = ()
    order: int = 4

    name = "sidelobes"

    def __post_init__(self) -> None:
        from disac.designs import design_names

        for name in self.designs:
            if name not in design_names():
                raise ValueError(f"designs = {name!r}: must be one of {', '.join(design_names())}")
        if any(t < 1 for t in self.n_symbols):
            raise ValueError(f"n_symbols = {self.n_symbols}: must be at least 1")

    @property
    def signals(self) -> tuple[str, ...]:
        """Which profiles there are: the expected spectrum's, and those of realizations of T symbols."""
        return signals_of(self.n_symbols)

    @property
    def columns(self) -> Mapping[str, Column]:
        """Unit and meaning of the records' columns."""
        columns = {
            "feasible": Column("1", "whether the SINR threshold can be met"),
            "rcrb_m": Column("m", "root CRB of the design, one symbol", required=False),
        }
        for signal in self.signals:
            for (node, target), _ in np.ndenumerate(self.scenario.target_geometry.angle):
                where = f"node {node} towards target {target}, {signal}"
                for stem, unit, what in _QUANTITIES:
                    columns[_column(stem, signal, node, target)] = Column(unit, f"{what}, {where}", required=False)
        return columns

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {"scenario": self.scenario.digest, "n_symbols": list(self.n_symbols), "order": self.order}

    def points(self) -> list[dict[str, PointValue]]:
        """One point per design and threshold; designs whose signals do not depend on it have one point without."""
        from disac.designs import design_info

        points: list[dict[str, PointValue]] = []
        for name in self.designs:
            if not design_info(name).depends_on_sinr:
                points.append({"design": name})
            else:
                points += [{"design": name, "sinr_db": float(level)} for level in self.sinr_db]
        return points

    def prepare(self, point: Point) -> dict[str, PointValue]:
        """The point itself."""
        return plain_point(point)

    def run(self, context: Point, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [self._record(context, key) for key in keys]

    def _record(self, point: Point, key: TrialKey) -> Record:
        from disac.designs import Infeasible, design
        from disac.estimators.range_profile import expected_spectrum, realized_spectrum

        record: Record = {name: float("nan") for name in self.columns}
        scenario = redraw(self.scenario, key)
        threshold = float(point["sinr_db"]) if "sinr_db" in point else None
        try:
            result = design(str(point["design"]), scenario, threshold)
        except Infeasible:
            return {**record, "feasible": False}
        record |= {"feasible": True, "rcrb_m": result.rcrb_m}
        for signal, n_symbols in zip(self.signals, (0, *self.n_symbols), strict=True):
            X = draw_symbols(result, self.order, n_symbols, key) if n_symbols else None
            for (node, target), angle in np.ndenumerate(scenario.target_geometry.angle):
                spectrum = (
                    expected_spectrum(scenario, result.covariances, node, angle)
                    if X is None
                    else realized_spectrum(scenario, X, node, angle)
                )
                levels = profile_levels(spectrum)
                record |= {_column(stem, signal, node, target): value for stem, value in levels.items()}
        return record


def signals_of(n_symbols: Sequence[int]) -> tuple[str, ...]:
    """Names of the profiles of a sweep with realizations of these numbers of symbols."""
    return ("expected", *(f"realized, T = {t}" for t in n_symbols))


_QUANTITIES = (
    ("pslr_db", "dB", "highest level outside the main lobe that equal energies have"),
    ("islr_db", "dB", "energy outside that main lobe over energy inside"),
    ("pslr_loss_db", "dB", "peak sidelobe level above that of equal energies"),
    ("islr_loss_db", "dB", "integrated sidelobe ratio above that of equal energies"),
    ("width_m", "m", "full width of the main lobe at half power"),
)


def _column(stem: str, signal: str, node: int, target: int) -> str:
    return f"{signal}: {stem} n{node} k{target}"


def profile_levels(spectrum: EchoSpectrum) -> dict[str, float]:
    """PSLR and ISLR of the matched filter, what they exceed those of equal energies by [dB], and the width [m].

    The main lobe of two neighbouring subcarriers fills the period, so their sidelobe ratios are undefined: NaN.
    """
    from disac.estimators.range_profile import range_profile

    flat = range_profile(equal_energies(spectrum)).sidelobes()
    own = range_profile(spectrum).sidelobes(flat.mainlobe_m)
    if flat.pslr == 0:
        return {**{stem: float("nan") for stem, _, _ in _QUANTITIES}, "width_m": own.width_m}
    return {
        "pslr_db": own.pslr_db,
        "islr_db": own.islr_db,
        "pslr_loss_db": own.pslr_db - flat.pslr_db,
        "islr_loss_db": own.islr_db - flat.islr_db,
        "width_m": own.width_m,
    }


def equal_energies(spectrum: EchoSpectrum) -> EchoSpectrum:
    """Equal energies on the subcarriers that the node transmits on."""
    return replace(spectrum, energy=spectrum.allocated.astype(float), inverse_energy=None, n_symbols=1)


def redraw(scenario: Scenario, key: TrialKey) -> Scenario:
    """The scenario with the amplitudes and channels of a trial, whatever the key's point; other settings are kept."""
    amplitudes = scenario.amplitude_model or RandomAmplitudes(seed=0)
    channels = scenario.channel_model or RandomChannels(seed=0)
    seeds = (int(key.of_all_points().generator(p).integers(2**63 - 1)) for p in (Purpose.AMPLITUDE, Purpose.CHANNEL))
    return scenario.replace(
        amplitudes=amplitudes.model_copy(update={"seed": next(seeds)}),
        channels=channels.model_copy(update={"seed": next(seeds)}),
    )


def draw_symbols(result: DesignResult, order: int, n_symbols: int, key: TrialKey) -> NDArray[np.complex128]:
    """One realization X (N, M_t, L, T) of what a design sends, the data the same for all designs of a trial."""
    from disac.simulator import draw_streams, transmit

    streams = draw_streams(
        result.scenario.replace(n_symbols=n_symbols),
        result.radar_precoders.shape[-1],
        order=order,
        bit_rng=key.of_all_points().generator(Purpose.BITS),
        radar_rng=key.of_all_points().generator(Purpose.RADAR),
    )
    sent: NDArray[np.complex128] = transmit(result.comm_precoders, result.radar_precoders, streams)
    return sent
