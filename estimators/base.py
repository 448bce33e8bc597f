"""What an estimator is: built once from a scenario whose truth is withheld, then called with X and Y of every trial.

A new estimator is one file with one class or function that carries ``@register_estimator("name")``. It declares by
attributes what it is: the bound it is compared with, whether it is a genie, whether it claims to attain that bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from disac.registration import Registry
from disac.simulator.checks import check_choice
from disac.simulator.scenario import Scenario

RealArray = NDArray[np.float64]
AnyComplexArray = NDArray[np.complexfloating[Any, Any]]

F = TypeVar("F", bound=Callable[[Scenario], Any])

BOUNDS = ("hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance")
"""Bounds that an estimator can be compared with, the modes of :func:`disac.designs.crb`."""

_ML = "disac.estimators.ml.registered"
ESTIMATORS: Registry[Callable[[Scenario], Any]] = Registry(
    "estimator",
    "disac.estimators",
    {
        "ml": _ML,
        "tof-genie": _ML,
        "aoa-genie": _ML,
        "tof-nuisance": _ML,
        "aoa-nuisance": _ML,
        "two-step": "disac.estimators.two_step",
    },
)
"""All estimators by name."""


class NoEstimate(RuntimeError):
    """The data do not tell where the targets are: nothing sent, nothing received, or positions not identifiable."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an estimator returns; an object of any other class with ``positions`` does as well.

    Attributes
    ----------
    positions : (K, 2) array of float
        Estimated positions [m].
    covariance : (2K, 2K) array of float or None
        Covariance that the estimator claims for them [m^2], order x_1..x_K, y_1..y_K; None where it claims none.
    converged : bool
        Whether the computation came to its end.
    """

    positions: RealArray
    covariance: RealArray | None = None
    converged: bool = True


class HasPositions(Protocol):
    """The one thing that is asked of an estimate."""

    @property
    def positions(self) -> RealArray:
        """(K, 2) estimated positions [m]."""


@dataclass(frozen=True)
class EstimatorKind:
    """An estimator by its name, with what it declares; calling it with a scenario builds it.

    Attributes
    ----------
    name : str
        Name in options and tables.
    label : str
        What legends call it.
    make : callable
        (scenario) in, an object to call with (X, Y) out.
    bound : str
        One of :data:`BOUNDS`, attribute ``bound`` of ``make``; default "hybrid".
    genie : bool
        Whether it is told the truth, attribute ``genie``; its name then says so. Default False.
    efficient : bool
        Whether it claims to attain its bound at high SNR, attribute ``efficient``. Default False.
    """

    name: str
    label: str
    make: Callable[[Scenario], Any]
    bound: str
    genie: bool
    efficient: bool

    @classmethod
    def of(cls, name: str, make: Callable[[Scenario], Any], label: str | None = None) -> EstimatorKind:
        """What a class or function declares.

        Raises
        ------
        ValueError : an unknown bound, or a genie whose name does not say so.
        """
        bound, genie = getattr(make, "bound", "hybrid"), bool(getattr(make, "genie", False))
        if bound not in BOUNDS:
            raise ValueError(f"estimator {name}: bound = {bound!r}, must be one of {', '.join(BOUNDS)}")
        if genie and "genie" not in name:
            raise ValueError(f"estimator {name}: is a genie, so its name must hold the word genie")
        return cls(name, label or name, make, bound, genie, bool(getattr(make, "efficient", False)))

    def __call__(self, scenario: Scenario) -> Callable[[AnyComplexArray, AnyComplexArray], Any]:
        """The estimator for a scenario. Unless it is a genie, targets and amplitudes are withheld from it."""
        built: Callable[[AnyComplexArray, AnyComplexArray], Any] = self.make(
            scenario if self.genie else withhold_truth(scenario)
        )
        return built


def register_estimator(name: str, *, label: str | None = None) -> Callable[[F], F]:
    """Decorator that makes a class or function known as estimator ``name``, from any package.

    Parameters
    ----------
    name : str
        The name in ``--estimator`` and in tables.
    label : str, optional
        What legends call it.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.estimators import Estimate, register_estimator
    >>> @register_estimator("centre")
    ... class Centre:
    ...     bound, efficient = "hybrid", False
    ...
    ...     def __init__(self, scenario):
    ...         self.guess = np.tile(scenario.area.mean(axis=1), (scenario.n_targets, 1))
    ...
    ...     def __call__(self, X, Y):
    ...         return Estimate(positions=self.guess)
    """
    return ESTIMATORS.register(name, label=label)


def estimator(name: str) -> EstimatorKind:
    """The estimator of a name; call it with a scenario to build it.

    Raises
    ------
    ValueError : no estimator has the name.

    Examples
    --------
    >>> from disac.estimators import estimator
    >>> estimator("ml").bound
    'hybrid'
    """
    if not isinstance(name, str):
        check_choice("estimator", name, estimator_names())
    entry = ESTIMATORS.entry(name)
    return EstimatorKind.of(name, entry.value, entry.label)


def estimator_names() -> tuple[str, ...]:
    """Names of all estimators, built-in ones first."""
    return ESTIMATORS.names()


def withhold_truth(scenario: Scenario) -> Scenario:
    """The scenario without what an estimator must find out: ``targets`` and ``amplitudes`` are NaN.

    Only their numbers are kept, K above all. The random model that may have drawn the amplitudes is withheld too.
    """
    return scenario.model_copy(
        update={
            "targets": np.full_like(scenario.targets, np.nan),
            "amplitudes": np.full_like(scenario.amplitudes, np.nan),
            "amplitude_model": None,
        }
    )


def check_observation(scenario: Scenario, X: AnyComplexArray, Y: AnyComplexArray) -> None:
    """Refuse symbols and samples that do not fit the scenario.

    Parameters
    ----------
    X : (N, M_t, L, T) array of complex
        Transmit symbols.
    Y : (N, M_r, L, T) array of complex
        Received samples.

    Raises
    ------
    ValueError : a wrong shape, or a value that is not finite.
    """
    X, Y = np.asarray(X), np.asarray(Y)
    n_nodes, n_subcarriers = scenario.n_nodes, scenario.n_subcarriers
    n_symbols = X.shape[-1] if X.ndim == 4 else 0
    for name, array, n_antennas in (("X", X, scenario.n_tx), ("Y", Y, scenario.n_rx)):
        expected = (n_nodes, n_antennas, n_subcarriers, n_symbols)
        if array.shape != expected or n_symbols == 0:
            raise ValueError(
                f"{name}: has shape {array.shape}, must have shape {(*expected[:3], 'T')}, the same T >= 1"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: holds a value that is not finite, every value must be")
