"""What the nodes send: data symbols, radar sequences, and the transmit symbols X that precoding makes of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from disac.simulator.checks import check_choice, check_instance, check_integer, check_numbers
from disac.simulator.qam import BitArray, bits_per_symbol, constellation, modulate
from disac.simulator.scenario import Scenario
from disac.simulator.synthesis import check_scenario

ComplexArray = NDArray[np.complex128]
RadarSequence = Literal["constant-modulus", "gaussian"]

RADAR_SEQUENCES = get_args(RadarSequence)
"""Laws of the radar sequences."""


@dataclass(frozen=True)
class Streams:
    """The independent unit-power streams of one or many trials; leading axes, if any, count trials.

    Attributes
    ----------
    bits : (..., U, L, T, b) uint8 bits of user u on subcarrier l in OFDM symbol t.
    data : (..., U, L, T) QAM symbols s_c of Eq. (3) that carry them.
    radar : (..., Q, L, T) radar sequences s_s of Eq. (15).
    """

    bits: BitArray
    data: ComplexArray
    radar: ComplexArray


def draw_streams(
    scenario: Scenario,
    n_radar_streams: int,
    *,
    order: int,
    radar: RadarSequence = "constant-modulus",
    bit_rng: np.random.Generator,
    radar_rng: np.random.Generator,
    batch: tuple[int, ...] = (),
) -> Streams:
    """Draw data bits and radar sequences, independent over users, streams, subcarriers and OFDM symbols.

    Unit power and no correlation, as Eq. (2) and Eq. (3) ask.

    Parameters
    ----------
    scenario : gives U, L and T.
    n_radar_streams : number Q of radar streams, shared by all nodes.
    order : QAM order of every user.
    radar : "constant-modulus" draws each entry from the four unit phases of QPSK, so that a user's exact error rate is
        a finite sum over its interference; "gaussian" draws CN(0, 1). Both satisfy E[s s^H] = I.
    bit_rng, radar_rng : generators of the bits and of the radar sequences.
    batch : leading axes, one set of streams for each entry.

    Raises
    ------
    ValueError : unknown ``order`` or ``radar``, or a negative number of radar streams.
    """
    check_scenario(scenario)
    check_integer("n_radar_streams", n_radar_streams, 0)
    check_choice("radar", radar, RADAR_SEQUENCES)
    for name, rng in (("bit_rng", bit_rng), ("radar_rng", radar_rng)):
        check_instance(name, rng, np.random.Generator)
    if not isinstance(batch, tuple):
        raise TypeError(f"batch = {batch!r}: must be a tuple of whole numbers")
    for size in batch:
        check_integer("batch", size, 0)
    grid = (scenario.n_subcarriers, scenario.n_symbols)
    bits = _random_bits(bit_rng, (*batch, scenario.n_users, *grid, bits_per_symbol(order)))
    data = modulate(bits, order)[..., 0]
    shape = (*batch, n_radar_streams, *grid)
    if radar == "constant-modulus":
        sequences = modulate(_random_bits(radar_rng, (*shape, 2)), 4)[..., 0]
    else:
        pairs = radar_rng.standard_normal((*shape, 2))
        pairs *= np.sqrt(0.5)
        sequences = pairs.view(np.complex128)[..., 0]
    return Streams(bits=bits, data=data, radar=sequences)


def radar_alphabet(radar: RadarSequence) -> ComplexArray | None:
    """The equally likely values of one radar sequence entry, or None where it is continuous (Gaussian)."""
    check_choice("radar", radar, RADAR_SEQUENCES)
    return constellation(4) if radar == "constant-modulus" else None


def transmit(comm_precoders: ComplexArray, radar_precoders: ComplexArray, streams: Streams) -> ComplexArray:
    """Transmit symbols x_{n,l}[t] = sum_u w_{c,n,u,l} s_{c,u,l}[t] + W_{s,n,l} s_{s,l}[t] of Eq. (1), (15) and (30).

    Parameters
    ----------
    comm_precoders : (N, U, L, M_t) precoders of the data; zero where a node leaves a subcarrier to others.
    radar_precoders : (N, L, M_t, Q) precoders of the radar streams.
    streams : the streams, with leading axes or without.

    Returns
    -------
    (..., N, M_t, L, T) transmit symbols X, C-contiguous.

    Raises
    ------
    ValueError : precoders and streams do not fit each other.
    """
    check_instance("streams", streams, Streams)
    comm_precoders = check_numbers("comm_precoders", comm_precoders)
    radar_precoders = check_numbers("radar_precoders", radar_precoders)
    *batch, n_users, n_subcarriers, n_symbols = streams.data.shape
    n_streams = streams.radar.shape[-3]
    n_nodes, n_tx = (*comm_precoders.shape, 0)[0], (0, *comm_precoders.shape)[-1]
    check_precoders(comm_precoders, radar_precoders, (n_nodes, n_users, n_subcarriers, n_tx), n_streams)
    precoders = np.concatenate([comm_precoders.transpose(0, 2, 3, 1), radar_precoders], axis=-1)
    symbols = np.concatenate([streams.data, streams.radar], axis=-3).swapaxes(-3, -2)
    X = np.empty((*batch, n_nodes, n_tx, n_subcarriers, n_symbols), dtype=np.complex128)
    np.matmul(precoders, symbols[..., None, :, :, :], out=X.swapaxes(-3, -2))
    return X


def check_precoders(
    comm_precoders: ComplexArray, radar_precoders: ComplexArray, sizes: tuple[int, int, int, int], n_streams: int
) -> None:
    """Raise ValueError unless the precoders fit ``sizes`` = (N, U, L, M_t) and Q radar streams."""
    n_nodes, _, n_subcarriers, n_tx = sizes
    for name, array, shape, axes in (
        ("comm_precoders", comm_precoders, sizes, "N, U, L, M_t"),
        ("radar_precoders", radar_precoders, (n_nodes, n_subcarriers, n_tx, n_streams), "N, L, M_t, Q"),
    ):
        if array.shape != shape:
            raise ValueError(f"{name}: has shape {array.shape}, must have shape {shape} ({axes})")


def _random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> BitArray:
    count = int(np.prod(shape))
    packed = np.frombuffer(rng.bytes(-(-count // 8)), dtype=np.uint8)
    return np.unpackbits(packed, count=count).reshape(shape)
