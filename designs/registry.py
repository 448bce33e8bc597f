"""Designs by name. A new design is one module with one registered function."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from disac.designs.precoding.files import design_of_file, is_precoder_file
from disac.designs.result import DesignResult
from disac.registration import Registry, declared_names
from disac.simulator import Scenario
from disac.simulator.checks import check_instance

DEFAULT_SOLVER = "native"
"""Solver of the convex problems when none is named."""
SOLVERS = ("native", "clarabel", "scs", "mosek")
"""Solvers that can be named; ``mosek`` needs its own package and licence."""


Design: TypeAlias = Callable[..., DesignResult]
"""A registered design: (scenario, sinr_db, solver=...) in, precoders with their certificate out.

Further keyword parameters are its options; :func:`design` hands them on. One that solves no convex problem need not
take ``solver``.
"""

_designs: Registry[Design] = Registry(
    "design", "disac.designs", declared_names("disac.designs.catalogue", "register_design")
)


@dataclass(frozen=True)
class DesignInfo:
    """What a design states about itself where it is registered.

    Attributes
    ----------
    name : str
        Its name in options, tables and files.
    label : str
        What legends call it.
    tight : bool
        Its precoders lose nothing against the problem that it solves.
    bounds_value : bool
        Its ``lower_bound`` bounds the CRB of what is sent. False where another objective is minimized.
    depends_on_sinr : bool
        What is sent depends on the SINR threshold. False where the threshold is only checked, or ignored.
    options : mapping of str to default
        Keyword parameters of the design besides ``solver``.
    """

    name: str
    label: str
    tight: bool
    bounds_value: bool
    depends_on_sinr: bool
    options: Mapping[str, Any]


def register_design(
    name: str,
    *,
    label: str | None = None,
    tight: bool = False,
    bounds_value: bool = True,
    depends_on_sinr: bool = True,
) -> Callable[[Design], Design]:
    """Decorator that makes a function known as design ``name``, from any package.

    Parameters
    ----------
    name : str
        Name in options, tables and files, without commas and spaces.
    label, tight, bounds_value, depends_on_sinr
        See :class:`DesignInfo`; the label is the name unless it is given.

    Raises
    ------
    ValueError : another design has the name.

    Examples
    --------
    >>> from disac.designs import design, fixed_design, register_design
    >>> from disac.simulator import Scenario
    >>> import numpy as np
    >>> @register_design("one-beam-doc", label="One beam", depends_on_sinr=False)
    ... def one_beam(scenario, sinr_db, *, share=1.0):
    ...     s = scenario
    ...     comm = np.zeros((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx))
    ...     level = np.sqrt(share * s.tx_power / s.n_subcarriers)
    ...     radar = np.broadcast_to(level * np.eye(s.n_tx), (s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx))
    ...     return fixed_design(s, comm, radar, name="one-beam-doc")
    >>> design("one-beam-doc", Scenario.preset("fig4"), None, share=0.5).certificate.antenna_power.max().round(3)
    np.float64(50.0)
    """
    return _designs.register(name, label=label, tight=tight, bounds_value=bounds_value, depends_on_sinr=depends_on_sinr)


def design_names() -> tuple[str, ...]:
    """Names of all designs, built-in ones first."""
    return _designs.names()


def design_label(name: str) -> str:
    """What legends and tables for readers call a design; a name that is not known here stays as it is."""
    _check_name(name)
    return _designs.label(name)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise ValueError(f"design = {name!r}: must be one of {', '.join(design_names())}, or a file of precoders")


def design_info(name: str) -> DesignInfo:
    """What a design states about itself; of a file with precoders, that nothing it sends depends on a threshold.

    Raises
    ------
    ValueError : there is no design of this name.
    """
    _check_name(name)
    if is_precoder_file(name):
        return DesignInfo(name, name, tight=True, bounds_value=True, depends_on_sinr=False, options={})
    entry = _designs.entry(name)
    facts = {"tight": False, "bounds_value": True, "depends_on_sinr": True} | dict(entry.facts)
    return DesignInfo(name=name, label=entry.label, options=_options(entry.value), **facts)


def _options(function: Design) -> dict[str, Any]:
    """Keyword parameters of a design besides scenario, threshold and solver, with their defaults."""
    named = list(inspect.signature(function).parameters.values())[2:]
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {p.name: p.default for p in named if p.kind in kinds and p.name != "solver"}


def design(
    name: str, scenario: Scenario, sinr_db: float | None, *, solver: str = DEFAULT_SOLVER, **options: Any
) -> DesignResult:
    """Precoders of design ``name`` for every user's SINR at or above ``sinr_db`` on every subcarrier.

    Parameters
    ----------
    name : str
        One of :func:`design_names`; or the path of a file with precoders, which ends in .npz or .nc: these are sent as
        they are, whatever ``sinr_db`` says, and judged like those of any design (``docs/precoders.md``).
    scenario : Scenario
        What is true.
    sinr_db : float or None
        Threshold Gamma_c of Eq. (14c) [dB]; None asks for no SINR.
    solver : str
        One of :data:`SOLVERS`.
    **options
        What the design takes besides (:func:`design_info`); None leaves an option at its default. Those of P.4:
        ``sidelobe_db``, the highest range sidelobe of any link over its peak [dB], by default what equal powers on the
        same subcarriers have; ``mainlobe``, where the sidelobes begin, in units of the first minimum that equal powers
        have (default 1). It must leave a delay outside the main lobe on some node, and a node with fewer than three
        subcarriers has none; nodes without one are warned of.

    Raises
    ------
    Infeasible : the threshold is out of reach; carries the largest feasible one and a proof.
    SidelobesInfeasible : the sidelobe level is; carries the lowest feasible one and a proof.
    Unidentifiable : the targets cannot be localized in this geometry.
    ValueError : unknown name or solver, threshold out of range, an option that the design does not take; P.4: a limit
        that would limit no sidelobe.
    TypeError : what is registered under the name returns no `DesignResult`.
    """
    _check_name(name)
    check_instance("scenario", scenario, Scenario)
    if is_precoder_file(name):
        return _from_file(name, scenario, options)
    function = _designs.get(name)
    if solver not in SOLVERS:
        raise ValueError(f"solver = {solver!r}: must be one of {', '.join(SOLVERS)}")
    is_number = isinstance(sinr_db, Real) and not isinstance(sinr_db, bool)
    if sinr_db is not None and not (is_number and -300 <= sinr_db <= 300):
        raise ValueError(f"sinr_db = {sinr_db!r}: must be a finite number within [-300, 300] dB")
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    given = {option: value for option, value in options.items() if value is not None}
    if not takes_any:
        _refuse_unknown(name, given, _options(function))
    if takes_any or "solver" in parameters:
        given["solver"] = solver
    result = function(scenario, sinr_db, **given)
    if not isinstance(result, DesignResult):
        raise TypeError(f"design = {name!r}: returned {type(result).__name__}, a design must return a DesignResult")
    return result


def _from_file(path: str, scenario: Scenario, options: Mapping[str, Any]) -> DesignResult:
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{given[0]} = {options[given[0]]!r}: the precoders of {path} are sent as they are")
    return design_of_file(path, scenario)


def _refuse_unknown(name: str, given: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
    unknown = sorted(set(given) - set(taken))
    if not unknown:
        return
    option = unknown[0]
    others = [other for other in design_names() if option in _options_if_importable(other)]
    if others:
        hint = f"; {', '.join(others)} {'does' if len(others) == 1 else 'do'}"
    else:
        near = difflib.get_close_matches(option, taken, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
    own = f"its options are {', '.join(taken)}" if taken else "it has no options"
    raise ValueError(f"{option} = {given[option]!r}: design {name} does not take {option}, {own}{hint}")


def _options_if_importable(name: str) -> Mapping[str, Any]:
    """Options of a design, none where its package cannot be imported."""
    try:
        return _options(_designs.get(name))
    except ValueError:
        return {}
