"""The CRB when the phases between nodes are not those that the signals were designed for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import crb_of_operator
from disac.designs.bounds.fisher import FisherOperator, check_covariances
from disac.simulator import Scenario
from disac.simulator.checks import check_numbers

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def crb_over_phases(
    scenario: Scenario, covariances: ComplexArray, phases: RealArray, mode: str = "hybrid"
) -> RealArray:
    """CRB traces of one symbol when node n transmits and receives with an extra phase phi_n.

    The amplitudes become b_nm e^{j (phi_m - phi_n)}; Eq. (7)'s SINR and the CRB of block-diagonal covariances do not
    change.

    Parameters
    ----------
    covariances : (L, N M_t, N M_t) of what is sent.
    phases : (draws, N) phases phi [rad].

    Returns
    -------
    (draws,) traces [m^2]; the root of their mean is the RCRB over unknown phases.
    """
    check_covariances(scenario, covariances)
    phases = check_numbers("phases", phases, real=True)
    if phases.ndim != 2 or phases.shape[1] != scenario.n_nodes:
        raise ValueError(f"phases: has shape {phases.shape}, must have shape (draws, {scenario.n_nodes}) [rad]")
    operator = FisherOperator(scenario, mode)
    turned = np.exp(1j * (phases[:, None, :] - phases[:, :, None]))
    traces = np.empty(len(phases))
    for draw, turn in enumerate(turned):
        turned_operator = operator.with_amplitudes(scenario.amplitudes * turn[..., None])
        traces[draw] = np.trace(crb_of_operator(turned_operator, covariances))
    return traces
