"""Parameters of a design problem that no signals can tell apart, such as the echoes of two targets on a baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import factor_information, position_information
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.bounds.information import ComplexArray
from disac.designs.problem.relaxed import RelaxedProblem


def independent_parameters(relaxed: RelaxedProblem) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Amplitudes (N, N, K) and nuisance parameters that do not depend on others whatever is sent, at equal powers.

    Raises
    ------
    Unidentifiable : the targets cannot be localized even so.
    """
    s = relaxed.scenario
    serves = np.repeat(relaxed.serves.T, s.n_tx, axis=1)
    power = s.tx_power / s.n_subcarriers
    signals: ComplexArray = np.asarray(power * serves[:, :, None] * np.eye(s.n_nodes * s.n_tx), dtype=np.complex128)
    operator = FisherOperator(s, relaxed.mode)
    information = position_information(operator, signals)
    if not information.full_rank:
        information = factor_information(operator, signals)
    shape = (s.n_nodes, s.n_nodes, s.n_targets)
    return information.independent.reshape(shape), information.independent_nuisance
