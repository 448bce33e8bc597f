"""Where things are: distances, angles, one-way delays and their derivatives in the x-y plane.

Angles follow the convention theta = atan2(q - p) - orientation, relative to the broadside of each array
(the paper measures them from the x axis, which fixes every array's broadside to +x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPEED_OF_LIGHT = 299_792_458.0
"""Speed of light in vacuum [m/s]."""

RealArray = NDArray[np.float64]


@dataclass(frozen=True)
class NodeToPoint:
    """Geometry of every node n seen from every point k.

    Attributes
    ----------
    distance_m : (N, K) distance between node and point [m].
    angle : (N, K) angle off broadside, counter-clockwise [rad].
    delay_s : (N, K) one-way time of flight [s].
    angle_gradient : (N, K, 2) derivative of the angle by the point's (x, y) [rad/m].
    delay_gradient : (N, K, 2) derivative of the one-way delay by the point's (x, y) [s/m].
    """

    distance_m: RealArray
    angle: RealArray
    delay_s: RealArray
    angle_gradient: RealArray
    delay_gradient: RealArray


def node_to_point(nodes: RealArray, orientations: RealArray, points: RealArray) -> NodeToPoint:
    """Distances, angles, delays and their derivatives, below Eq. (5) and Eq. (45).

    Parameters
    ----------
    nodes : (N, 2) node positions [m].
    orientations : (N,) direction of each array's broadside, counter-clockwise from +x [rad].
    points : (K, 2) positions [m], none of them on a node.
    """
    offset = points[None, :, :] - nodes[:, None, :]
    dx, dy = offset[..., 0], offset[..., 1]
    distance = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx) - orientations[:, None]
    return NodeToPoint(
        distance_m=distance,
        angle=np.arctan2(np.sin(angle), np.cos(angle)),
        delay_s=distance / SPEED_OF_LIGHT,
        angle_gradient=np.stack([-dy, dx], axis=-1) / distance[..., None] ** 2,
        delay_gradient=offset / (distance[..., None] * SPEED_OF_LIGHT),
    )


def path_delays(one_way_s: RealArray) -> RealArray:
    """Delays tau[n, m, k] = tau_n^k + tau_m^k of the paths m -> target k -> n [s], from the (N, K) one-way delays."""
    delays: RealArray = one_way_s[:, None, :] + one_way_s[None, :, :]
    return delays


def doppler_rates(nodes: RealArray, points: RealArray, velocities: RealArray, carrier_hz: float) -> RealArray:
    """Phase rates nu = (2 pi f_c / c) u . v of the legs between nodes and moving points, shape (N, K) [rad/s].

    Parameters
    ----------
    nodes : (N, 2) node positions [m].
    points : (K, 2) positions [m].
    velocities : (K, 2) velocities [m/s].
    carrier_hz : carrier frequency f_c [Hz].
    """
    towards = points[None] - nodes[:, None]
    radial = np.sum(towards * velocities, axis=-1) / np.hypot(towards[..., 0], towards[..., 1])
    rates: RealArray = (2 * np.pi * carrier_hz / SPEED_OF_LIGHT) * radial
    return rates


def doppler_gradients(
    nodes: RealArray, points: RealArray, velocities: RealArray, carrier_hz: float
) -> tuple[RealArray, RealArray]:
    """Derivatives of :func:`doppler_rates` by each point's (x, y) and by its velocity, both of shape (N, K, 2)."""
    towards = points[None] - nodes[:, None]
    distance = np.hypot(towards[..., 0], towards[..., 1])[..., None]
    unit = towards / distance
    across = velocities - unit * np.sum(unit * velocities, axis=-1, keepdims=True)
    wavenumber = 2 * np.pi * carrier_hz / SPEED_OF_LIGHT
    return wavenumber * across / distance, wavenumber * unit
