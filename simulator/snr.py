"""The signal-to-noise ratio that a draw really had."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.simulator.checks import check_numbers

AnyComplexArray = NDArray[np.complexfloating[Any, Any]]


def measured_snr(clean: AnyComplexArray, noisy: AnyComplexArray) -> float:
    """Mean power of the signal over mean power of the noise, mean |clean|^2 / mean |noisy - clean|^2 (linear).

    Raises
    ------
    ValueError : a value is not finite, or the two arrays differ in shape, or they hold the same samples, so that there
        is no noise to compare with.
    """
    clean, noisy = check_numbers("clean", clean), check_numbers("noisy", noisy)
    if clean.shape != noisy.shape:
        raise ValueError(f"noisy: has shape {noisy.shape}, must have the shape {clean.shape} of clean")
    noise_power = float(np.mean(np.abs(noisy - clean) ** 2))
    if noise_power == 0:
        raise ValueError("noisy: equals clean, must contain noise")
    return float(np.mean(np.abs(clean) ** 2)) / noise_power
