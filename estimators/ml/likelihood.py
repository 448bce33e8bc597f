r"""Numba kernels of the concentrated position likelihood.

With white noise, maximizing the likelihood of Eq. (6) over the amplitudes leaves

.. math:: f = \sum_n g_n^H \Gamma_n^{-1} g_n, \qquad g_n[a] = \langle\phi_{na}, Y_n\rangle, \quad
          \Gamma_n[a, a'] = \langle\phi_{na}, \phi_{na'}\rangle,

where signature a = (m, k) is the echo of transmitter m from target k at receiver n, a = index of m among the
transmitting nodes times K plus k. A signature depends on link variables alone: the angles theta[n, k] and the delays
psi[n, k] = 2 pi (B / L) tau[n, k] in radians per subcarrier. ``Signal`` gives the layout of the data.

All kernels live in this module because Numba's cache does not notice a changed helper in another module.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from disac.estimators.ml.signal import Signal

TIED, FIXED, FREE = 0, 1, 2
"""Rules of a link variable: it follows from the position, it is known, or it is a nuisance parameter of its own."""

BLOCK = 128
"""Grid points that one pass of the grid kernel treats together, so that its work arrays stay in the nearest cache."""

BEAM_FLOOR = np.float32(1e-5)
"""Energy of a transmit beam, relative to the strongest correlation times M_r, below which single precision holds no
digit of it. In such a null of a beam the grid kernel counts a link for less than it is worth, never for more."""

SINGULAR = 1e-10
"""Relative pivot of Gamma below which two signatures count as indistinguishable."""


class Work(NamedTuple):
    """Work arrays of the exact likelihood; [0] and [1] of a leading axis of 2 are real and imaginary part.

    Attributes
    ----------
    steer : (N, K, 3, max(M_t, M_r)) steering vectors with their first two derivatives by the angle.
    delay : (N, K, lines) delay factors exp(-j l psi).
    tx : (2, K, 3, M_t, P) conjugated transmit steering of each pair's node.
    tx_delay : (2, K, P) conjugated transmit-side delay factor of each pair.
    received : (2, 3, M_t P) data after the receive steering and its derivatives.
    echo : (2, 6, P) after the transmit steering too, orders (0,0), (1,0), (0,1), (2,0), (1,1), (0,2).
    beamed : (2, K, 2, M_t, Q) correlations after the steering (and its derivative) of the other side.
    beams : (K, K, 5, Q) after that of the own side too, orders (0,0), (1,0), (2,0), (0,1), (1,1).
    products, moments : what :func:`_echo_products` and :func:`_gram_moments` give for one receiver.
    factor : (A, A) Cholesky factor of Gamma.
    slope : (2 N K, A) derivatives of g - Gamma b at fixed b.
    port : (A, 4) link variables that a signature depends on.
    """

    steer: NDArray[np.complex128]
    delay: NDArray[np.complex128]
    tx: NDArray[np.float64]
    tx_delay: NDArray[np.float64]
    received: NDArray[np.float64]
    echo: NDArray[np.float64]
    beamed: NDArray[np.float64]
    beams: NDArray[np.complex128]
    products: NDArray[np.complex128]
    moments: NDArray[np.complex128]
    factor: NDArray[np.complex128]
    slope: NDArray[np.complex128]
    port: NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def _polynomial(cr, ci, z1r, z1i, z2r, z2i, n, inner_r, inner_i, out_r, out_i):  # type: ignore[no-untyped-def]
    """out = sum_{r,i} c[r, i] z1^r z2^i at n points by Horner's rule (two coefficients per pass over the points)."""
    rows, cols = cr.shape
    for i in range(cols - 1, -1, -1):
        r = rows - 1
        top_r, top_i = cr[r, i], ci[r, i]
        for p in range(n):
            inner_r[p] = top_r
            inner_i[p] = top_i
        while r >= 2:
            br, bi = cr[r - 1, i], ci[r - 1, i]
            ar, ai = cr[r - 2, i], ci[r - 2, i]
            for p in range(n):
                tr = inner_r[p] * z1r[p] - inner_i[p] * z1i[p] + br
                ti = inner_r[p] * z1i[p] + inner_i[p] * z1r[p] + bi
                inner_r[p] = tr * z1r[p] - ti * z1i[p] + ar
                inner_i[p] = tr * z1i[p] + ti * z1r[p] + ai
            r -= 2
        if r == 1:
            ar, ai = cr[0, i], ci[0, i]
            for p in range(n):
                tr = inner_r[p] * z1r[p] - inner_i[p] * z1i[p] + ar
                inner_i[p] = inner_r[p] * z1i[p] + inner_i[p] * z1r[p] + ai
                inner_r[p] = tr
        if i == cols - 1:
            for p in range(n):
                out_r[p] = inner_r[p]
                out_i[p] = inner_i[p]
        else:
            for p in range(n):
                tr = out_r[p] * z2r[p] - out_i[p] * z2i[p] + inner_r[p]
                out_i[p] = out_r[p] * z2i[p] + out_i[p] * z2r[p] + inner_i[p]
                out_r[p] = tr


@njit(cache=True, nogil=True, error_model="numpy")
def _scale_by_power(acc_r, acc_i, wr, wi, power, n):  # type: ignore[no-untyped-def]
    """acc *= w^power at n points."""
    for _ in range(power):
        for p in range(n):
            tr = acc_r[p] * wr[p] - acc_i[p] * wi[p]
            acc_i[p] = acc_r[p] * wi[p] + acc_i[p] * wr[p]
            acc_r[p] = tr


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_grid(  # type: ignore[no-untyped-def]
    zr, zi, wr, wi, signal, residual_r, residual_i, gram_r, gram_i, found_psi, inverse, beam_r, beam_i, floor, out
):  # fmt: skip
    """Gain of the concentrated likelihood when one target is put at each grid point beside the ones already found.

    The found targets are projected out of both the data and the candidate's signatures (Schur complement), so that the
    gain is that of the joint likelihood at the found positions. Single precision, up to a common factor: it ranks
    candidates, which are then refined in double precision.

    Parameters
    ----------
    zr, zi : (N, G) exp(-j pi sin theta) of every grid point.
    wr, wi : (N, G) exp(+j psi) of every grid point.
    residual_r, residual_i, inverse, beam_r, beam_i : as :func:`condition` gives them.
    gram_r, gram_i : (Q, M_t, M_t) transmit correlations of the overlaps, rows m', columns m; the first of the overlaps
        of a node with itself holds their sum.
    found_psi : (N, K') delays of the found targets.
    floor : relative size below which a Schur complement counts as lost.
    out : (G,) gain.
    """
    n_nodes, n_points = zr.shape
    n_rx = residual_r.shape[2]
    n_found = found_psi.shape[1]
    n_signatures = n_nodes * n_found
    n_overlaps = len(signal.own)
    f32 = np.float32
    work = np.empty((10, BLOCK), f32)
    inner_r, inner_i, poly_r, poly_i = work[0], work[1], work[2], work[3]
    ww_r, ww_i, acc_r, acc_i, vv_r, vv_i = work[4], work[5], work[6], work[7], work[8], work[9]
    numer = np.empty((2, n_nodes, BLOCK), f32)
    base = np.zeros((2, n_nodes, n_nodes, BLOCK), f32)
    found_poly = np.empty((2, n_overlaps + n_nodes, n_found, BLOCK), f32)
    coupling = np.zeros((2, n_nodes, n_signatures, BLOCK), f32)
    schur = np.zeros((n_nodes, n_nodes), np.complex64)
    vec = np.zeros(n_nodes, np.complex64)
    fvec = np.zeros(n_signatures, np.complex64)
    for start in range(0, n_points, BLOCK):
        n = min(BLOCK, n_points - start)
        end = start + n
        for p in range(n):
            out[start + p] = 0.0
        for q in range(n_overlaps + n_nodes if n_found else 0):
            m = signal.node[signal.own[q]] if q < n_overlaps else q - n_overlaps
            zmr, zmi = zr[m, start:end], zi[m, start:end]
            for k in range(n_found):
                to_r, to_i = found_poly[0, q, k], found_poly[1, q, k]
                _polynomial(beam_r[q, k], beam_i[q, k], zmr, zmi, zmr, zmi, n, inner_r, inner_i, to_r, to_i)
        # Correlations between the beams of m and m' towards the points, summed over shared subcarriers.
        for m in range(n_nodes):
            zmr, zmi = zr[m, start:end], zi[m, start:end]
            for m2 in range(m, n_nodes):
                block = m * n_nodes + m2
                first = signal.overlap_start[block]
                last = signal.overlap_start[block + 1]
                if m2 == m:
                    last = min(last, first + 1)
                acc_r, acc_i = base[0, m, m2], base[1, m, m2]
                for p in range(n):
                    vv_r[p] = zr[m2, start + p]
                    vv_i[p] = -zi[m2, start + p]
                    ww_r[p] = wr[m, start + p] * wr[m2, start + p] + wi[m, start + p] * wi[m2, start + p]
                    ww_i[p] = wi[m, start + p] * wr[m2, start + p] - wr[m, start + p] * wi[m2, start + p]
                    acc_r[p] = 0.0
                    acc_i[p] = 0.0
                for q in range(last - 1, first - 1, -1):
                    here = signal.line[signal.own[q]]
                    below = signal.line[signal.own[q - 1]] if q > first else (here if m2 == m else 0)
                    _polynomial(gram_r[q], gram_i[q], vv_r, vv_i, zmr, zmi, n, inner_r, inner_i, poly_r, poly_i)
                    for p in range(n):
                        acc_r[p] += poly_r[p]
                        acc_i[p] += poly_i[p]
                    _scale_by_power(acc_r, acc_i, ww_r, ww_i, here - below, n)
        acc_r, acc_i = work[6], work[7]
        for receiver in range(n_nodes):
            znr, zni = zr[receiver, start:end], zi[receiver, start:end]
            for m in range(n_nodes):
                first, last = signal.start[m], signal.start[m + 1]
                if first == last:
                    continue
                zmr, zmi = zr[m, start:end], zi[m, start:end]
                for p in range(n):
                    ww_r[p] = wr[receiver, start + p] * wr[m, start + p] - wi[receiver, start + p] * wi[m, start + p]
                    ww_i[p] = wr[receiver, start + p] * wi[m, start + p] + wi[receiver, start + p] * wr[m, start + p]
                    acc_r[p] = 0.0
                    acc_i[p] = 0.0
                for pair in range(last - 1, first - 1, -1):
                    below = signal.line[pair - 1] if pair > first else (signal.line[pair] if signal.orthogonal else 0)
                    _polynomial(
                        residual_r[receiver, pair], residual_i[receiver, pair], znr, zni, zmr, zmi, n,
                        inner_r, inner_i, poly_r, poly_i,
                    )  # fmt: skip
                    for p in range(n):
                        acc_r[p] += poly_r[p]
                        acc_i[p] += poly_i[p]
                    _scale_by_power(acc_r, acc_i, ww_r, ww_i, signal.line[pair] - below, n)
                for p in range(n):
                    numer[0, m, p] = acc_r[p]
                    numer[1, m, p] = acc_i[p]
                for m2 in range(n_nodes):
                    first, last = signal.overlap_start[m * n_nodes + m2], signal.overlap_start[m * n_nodes + m2 + 1]
                    if first == last:
                        continue
                    for k in range(n_found):
                        shift_r, shift_i = f32(np.cos(found_psi[receiver, k])), f32(-np.sin(found_psi[receiver, k]))
                        for p in range(n):
                            vv_r[p] = ww_r[p] * shift_r - ww_i[p] * shift_i
                            vv_i[p] = ww_r[p] * shift_i + ww_i[p] * shift_r
                            acc_r[p] = 0.0
                            acc_i[p] = 0.0
                        for q in range(last - 1, first - 1, -1):
                            here = signal.line[signal.own[q]]
                            below = signal.line[signal.own[q - 1]] if q > first else 0
                            for p in range(n):
                                acc_r[p] += found_poly[0, q, k, p]
                                acc_i[p] += found_poly[1, q, k, p]
                            _scale_by_power(acc_r, acc_i, vv_r, vv_i, here - below, n)
                        a = m2 * n_found + k
                        for p in range(n):
                            coupling[0, m, a, p] = (
                                acc_r[p] * found_poly[0, n_overlaps + receiver, k, p]
                                - acc_i[p] * found_poly[1, n_overlaps + receiver, k, p]
                            )
                            coupling[1, m, a, p] = (
                                acc_r[p] * found_poly[1, n_overlaps + receiver, k, p]
                                + acc_i[p] * found_poly[0, n_overlaps + receiver, k, p]
                            )
            if signal.orthogonal:
                for m in range(n_nodes):
                    if signal.start[m] == signal.start[m + 1]:
                        continue
                    for p in range(n):
                        acc_r[p] = n_rx * base[0, m, m, p]
                        acc_i[p] = acc_r[p]
                    for k in range(n_found):
                        for k2 in range(n_found):
                            entry = inverse[receiver, m * n_found + k, m * n_found + k2]
                            er, ei = f32(entry.real), f32(entry.imag)
                            cr, ci = coupling[0, m, m * n_found + k], coupling[1, m, m * n_found + k]
                            c2r, c2i = coupling[0, m, m * n_found + k2], coupling[1, m, m * n_found + k2]
                            for p in range(n):
                                re = cr[p] * c2r[p] + ci[p] * c2i[p]
                                im = ci[p] * c2r[p] - cr[p] * c2i[p]
                                acc_r[p] -= re * er - im * ei
                    for p in range(n):
                        bottom = max(floor * acc_i[p], BEAM_FLOOR * n_rx)
                        energy = numer[0, m, p] ** 2 + numer[1, m, p] ** 2
                        out[start + p] += energy / max(acc_r[p], bottom)
                continue
            for p in range(n):
                for m in range(n_nodes):
                    if signal.start[m] == signal.start[m + 1]:
                        continue
                    vec[m] = complex(numer[0, m, p], numer[1, m, p])
                    for m2 in range(m + 1):
                        schur[m, m2] = n_rx * complex(base[0, m2, m, p], -base[1, m2, m, p])
                    for a in range(n_signatures):
                        total = complex(0.0)
                        for a2 in range(n_signatures):
                            total += complex(coupling[0, m, a2, p], coupling[1, m, a2, p]) * inverse[receiver, a2, a]
                        fvec[a] = total
                    for m2 in range(m + 1):
                        total = complex(0.0)
                        for a in range(n_signatures):
                            total += fvec[a] * complex(coupling[0, m2, a, p], -coupling[1, m2, a, p])
                        schur[m, m2] -= total
                gain = 0.0
                for m in range(n_nodes):
                    if signal.start[m] == signal.start[m + 1]:
                        continue
                    size = n_rx * base[0, m, m, p]
                    pivot = schur[m, m].real
                    top = vec[m]
                    for j in range(m):
                        if signal.start[j] == signal.start[j + 1]:
                            continue
                        total = schur[m, j]
                        for i in range(j):
                            if signal.start[i] < signal.start[i + 1]:
                                total -= schur[m, i] * np.conj(schur[j, i])
                        entry = total / schur[j, j].real
                        schur[m, j] = entry
                        pivot -= entry.real * entry.real + entry.imag * entry.imag
                        top -= entry * vec[j]
                    root = np.sqrt(max(pivot, max(floor * size, BEAM_FLOOR * n_rx)))
                    schur[m, m] = complex(root)
                    vec[m] = top / root
                    gain += vec[m].real ** 2 + vec[m].imag ** 2
                out[start + p] += gain


def workspace(signal: Signal, n_targets: int) -> Work:
    """Work arrays for K targets of one trial; they belong to one caller at a time."""
    n_nodes, n_rx = signal.cross_r.shape[:2]
    n_tx = len(signal.gram_r)
    n_pairs, n_overlaps = len(signal.node), len(signal.own)
    n_signatures = len(signal.active) * n_targets
    return Work(
        steer=np.empty((n_nodes, n_targets, 3, max(n_rx, n_tx)), complex),
        delay=np.empty((n_nodes, n_targets, int(signal.line.max()) + 1), complex),
        tx=np.empty((2, n_targets, 3, n_tx, n_pairs)),
        tx_delay=np.empty((2, n_targets, n_pairs)),
        received=np.empty((2, 3, n_tx * n_pairs)),
        echo=np.empty((2, 6, n_pairs)),
        beamed=np.empty((2, n_targets, 2, n_tx, n_overlaps)),
        beams=np.empty((n_targets, n_targets, 5, n_overlaps), complex),
        products=np.empty((n_signatures, 10), complex),
        moments=np.zeros((n_signatures, n_signatures, 22), complex),
        factor=np.empty((n_signatures, n_signatures), complex),
        slope=np.empty((2 * n_nodes * n_targets, n_signatures), complex),
        port=np.empty((n_signatures, 4), np.int64),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _add_conjugate_product(out_r, out_i, ar, ai, cr, ci):  # type: ignore[no-untyped-def]
    """out += conj(a) c for a scalar a."""
    for j in range(out_r.size):
        out_r[j] += ar * cr[j] + ai * ci[j]
        out_i[j] += ar * ci[j] - ai * cr[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_product(out_r, out_i, ar, ai, cr, ci):  # type: ignore[no-untyped-def]
    """out += a c, entry by entry."""
    for j in range(out_r.size):
        out_r[j] += ar[j] * cr[j] - ai[j] * ci[j]
        out_i[j] += ar[j] * ci[j] + ai[j] * cr[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _prepare(theta, psi, signal, work):  # type: ignore[no-untyped-def]
    """Everything that does not depend on the receiver: steering, delays and the products of transmit beams."""
    n_nodes, n_targets = theta.shape
    n_antennas, n_lines = work.steer.shape[3], work.delay.shape[2]
    n_tx, n_pairs = work.tx.shape[3], work.tx.shape[4]
    n_overlaps = len(signal.own)
    for n in range(n_nodes):
        for k in range(n_targets):
            sine, cosine = np.pi * np.sin(theta[n, k]), np.pi * np.cos(theta[n, k])
            turn = complex(np.cos(sine), np.sin(sine))
            value = complex(1.0)
            for i in range(n_antennas):
                slope = i * cosine
                work.steer[n, k, 0, i] = value
                work.steer[n, k, 1, i] = complex(0.0, slope) * value
                work.steer[n, k, 2, i] = complex(-slope * slope, -i * sine) * value
                value *= turn
            for line in range(n_lines):
                work.delay[n, k, line] = complex(np.cos(line * psi[n, k]), -np.sin(line * psi[n, k]))
    for k in range(n_targets):
        for p in range(n_pairs):
            m = signal.node[p]
            factor = work.delay[m, k, signal.line[p]]
            work.tx_delay[0, k, p], work.tx_delay[1, k, p] = factor.real, -factor.imag
            for y in range(3):
                for i in range(n_tx):
                    factor = work.steer[m, k, y, i]
                    work.tx[0, k, y, i, p], work.tx[1, k, y, i, p] = factor.real, -factor.imag
    for k2 in range(n_targets):
        for y in range(2):
            for i in range(n_tx):
                out_r, out_i = work.beamed[0, k2, y, i], work.beamed[1, k2, y, i]
                for q in range(n_overlaps):
                    out_r[q] = out_i[q] = 0.0
                for i2 in range(n_tx):
                    gr, gi = signal.gram_r[i2, i], signal.gram_i[i2, i]
                    tr, ti = work.tx[0, k2, y, i2], work.tx[1, k2, y, i2]
                    for q in range(n_overlaps):
                        p = signal.other[q]
                        out_r[q] += tr[p] * gr[q] + ti[p] * gi[q]
                        out_i[q] += tr[p] * gi[q] - ti[p] * gr[q]
        for k in range(n_targets):
            for q in range(n_overlaps):
                p = signal.own[q]
                b00 = b10 = b20 = b01 = b11 = 0j
                for i in range(n_tx):
                    value = complex(work.beamed[0, k2, 0, i, q], work.beamed[1, k2, 0, i, q])
                    slope = complex(work.beamed[0, k2, 1, i, q], work.beamed[1, k2, 1, i, q])
                    a0 = complex(work.tx[0, k, 0, i, p], work.tx[1, k, 0, i, p])
                    a1 = complex(work.tx[0, k, 1, i, p], work.tx[1, k, 1, i, p])
                    b00 += value * a0
                    b10 += value * a1
                    b20 += value * complex(work.tx[0, k, 2, i, p], work.tx[1, k, 2, i, p])
                    b01 += slope * a0
                    b11 += slope * a1
                beams = work.beams[k, k2]
                beams[0, q], beams[1, q], beams[2, q], beams[3, q], beams[4, q] = b00, b10, b20, b01, b11


@njit(cache=True, nogil=True, error_model="numpy")
def _echo_products(n, signal, work):  # type: ignore[no-untyped-def]
    """products[a, s]: derivative s of signature a at receiver n against the data.

    s = 0 value; 1, 2, 3 first derivatives by receive angle, path delay, transmit angle; 4..9 second derivatives (1,1),
    (1,2), (1,3), (2,2), (2,3), (3,3).
    """
    n_targets, n_tx, n_pairs = work.tx.shape[1], work.tx.shape[3], work.tx.shape[4]
    n_rx = signal.cross_r.shape[1]
    for k in range(n_targets):
        for x in range(3):
            out_r, out_i = work.received[0, x], work.received[1, x]
            for j in range(out_r.size):
                out_r[j] = out_i[j] = 0.0
            for r in range(n_rx):
                factor = work.steer[n, k, x, r]
                cr, ci = signal.cross_r[n, r], signal.cross_i[n, r]
                _add_conjugate_product(out_r, out_i, factor.real, factor.imag, cr, ci)
        for c in range(6):
            x, y = (0, 1, 0, 2, 1, 0)[c], (0, 0, 1, 0, 1, 2)[c]
            out_r, out_i = work.echo[0, c], work.echo[1, c]
            for p in range(n_pairs):
                out_r[p] = out_i[p] = 0.0
            for i in range(n_tx):
                first, last = i * n_pairs, (i + 1) * n_pairs
                _add_product(
                    out_r, out_i, work.received[0, x, first:last], work.received[1, x, first:last],
                    work.tx[0, k, y, i], work.tx[1, k, y, i],
                )  # fmt: skip
        for index in range(len(signal.active)):
            m = signal.active[index]
            s00 = s10 = s01 = s20 = s11 = s02 = t00 = t10 = t01 = u00 = 0j
            for p in range(signal.start[m], signal.start[m + 1]):
                line = signal.line[p]
                phase = np.conj(work.delay[n, k, line]) * complex(work.tx_delay[0, k, p], work.tx_delay[1, k, p])
                value = complex(work.echo[0, 0, p], work.echo[1, 0, p]) * phase
                s00 += value
                t00 += line * value
                u00 += line * line * value
                value = complex(work.echo[0, 1, p], work.echo[1, 1, p]) * phase
                s10 += value
                t10 += line * value
                value = complex(work.echo[0, 2, p], work.echo[1, 2, p]) * phase
                s01 += value
                t01 += line * value
                s20 += complex(work.echo[0, 3, p], work.echo[1, 3, p]) * phase
                s11 += complex(work.echo[0, 4, p], work.echo[1, 4, p]) * phase
                s02 += complex(work.echo[0, 5, p], work.echo[1, 5, p]) * phase
            out = work.products[index * n_targets + k]
            out[0], out[1], out[2], out[3], out[4] = s00, s10, 1j * t00, s01, s20
            out[5], out[6], out[7], out[8], out[9] = 1j * t10, s11, -u00, 1j * t01, s02


@njit(cache=True, nogil=True, error_model="numpy")
def _gram_moments(n, signal, n_nodes, work):  # type: ignore[no-untyped-def]
    """Inner products of the signatures a, a' of receiver n and of their derivatives.

    moments[a, a', c]: c = 0 value; 1, 2, 3 derivative of a' by receive angle, delay, transmit angle; 4..12 derivative
    of a by 1, 2, 3 times derivative of a' by 1, 2, 3; 13, 14, 15 derivative of a; 16..21 second derivatives of a in the
    order of :func:`_echo_products`. Signatures of nodes that share no subcarrier keep their zeros.
    """
    n_targets = work.tx.shape[1]
    n_rx = signal.cross_r.shape[1]
    for k in range(n_targets):
        for k2 in range(n_targets):
            r00 = r10 = r01 = r11 = r20 = 0j
            for r in range(n_rx):
                c0, c1 = np.conj(work.steer[n, k, 0, r]), np.conj(work.steer[n, k, 1, r])
                d0, d1 = work.steer[n, k2, 0, r], work.steer[n, k2, 1, r]
                r00 += c0 * d0
                r10 += c1 * d0
                r01 += c0 * d1
                r11 += c1 * d1
                r20 += np.conj(work.steer[n, k, 2, r]) * d0
            beams = work.beams[k, k2]
            for index in range(len(signal.active)):
                for index2 in range(len(signal.active)):
                    block = signal.active[index] * n_nodes + signal.active[index2]
                    first, last = signal.overlap_start[block], signal.overlap_start[block + 1]
                    if first == last:
                        continue
                    s0 = s1 = s2 = t10 = t10l = t20 = t01 = t01l = t11 = 0j
                    for q in range(first, last):
                        p, p2 = signal.own[q], signal.other[q]
                        line = signal.line[p]
                        phase = np.conj(work.delay[n, k, line]) * work.delay[n, k2, line]
                        phase *= complex(work.tx_delay[0, k, p], work.tx_delay[1, k, p])
                        phase *= complex(work.tx_delay[0, k2, p2], -work.tx_delay[1, k2, p2])
                        value = phase * beams[0, q]
                        s0 += value
                        s1 += line * value
                        s2 += line * line * value
                        value = phase * beams[1, q]
                        t10 += value
                        t10l += line * value
                        t20 += phase * beams[2, q]
                        value = phase * beams[3, q]
                        t01 += value
                        t01l += line * value
                        t11 += phase * beams[4, q]
                    out = work.moments[index * n_targets + k, index2 * n_targets + k2]
                    out[0], out[1], out[2], out[3] = r00 * s0, r01 * s0, -1j * r00 * s1, r00 * t01
                    out[4], out[5], out[6] = r11 * s0, -1j * r10 * s1, r10 * t01
                    out[7], out[8], out[9] = 1j * r01 * s1, r00 * s2, 1j * r00 * t01l
                    out[10], out[11], out[12] = r01 * t10, -1j * r00 * t10l, r00 * t11
                    out[13], out[14], out[15] = r10 * s0, 1j * r00 * s1, r00 * t10
                    out[16], out[17], out[18] = r20 * s0, 1j * r10 * s1, r10 * t10
                    out[19], out[20], out[21] = -r00 * s2, 1j * r00 * t10l, r00 * t20


@njit(cache=True, nogil=True, error_model="numpy")
def _cholesky(matrix, least):  # type: ignore[no-untyped-def]
    """Lower Cholesky factor in place; False when a pivot is not above ``least`` of its diagonal entry."""
    for i in range(len(matrix)):
        diagonal = matrix[i, i].real
        for j in range(i + 1):
            total = matrix[i, j]
            for c in range(j):
                total -= matrix[i, c] * np.conj(matrix[j, c])
            if i == j:
                if not total.real > least * diagonal:
                    return False
                matrix[i, i] = np.sqrt(total.real)
            else:
                matrix[i, j] = total / matrix[j, j].real
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(factor, vector):  # type: ignore[no-untyped-def]
    """Solve factor x = vector in place for a lower triangular factor."""
    for i in range(len(vector)):
        total = vector[i]
        for j in range(i):
            total -= factor[i, j] * vector[j]
        vector[i] = total / factor[i, i].real


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(factor, vector):  # type: ignore[no-untyped-def]
    """Solve factor^H x = vector in place for a lower triangular factor."""
    for i in range(len(vector) - 1, -1, -1):
        total = vector[i]
        for j in range(i + 1, len(vector)):
            total -= np.conj(factor[j, i]) * vector[j]
        vector[i] = total / factor[i, i].real


@njit(cache=True, nogil=True, error_model="numpy")
def _project(n, signal, n_nodes, work, b):  # type: ignore[no-untyped-def]
    """Amplitudes b and energy of receiver n's data projected on the signatures; -inf where Gamma is singular."""
    _echo_products(n, signal, work)
    _gram_moments(n, signal, n_nodes, work)
    for a in range(len(b)):
        b[a] = work.products[a, 0]
        for a2 in range(len(b)):
            work.factor[a, a2] = work.moments[a, a2, 0]
    if not _cholesky(work.factor, SINGULAR):
        return -np.inf
    _forward(work.factor, b)
    energy = 0.0
    for a in range(len(b)):
        energy += b[a].real ** 2 + b[a].imag ** 2
    _backward(work.factor, b)
    return energy


@njit(cache=True, nogil=True, error_model="numpy")
def _likelihood(theta, psi, signal, work, gradient, hessian, amplitudes):  # type: ignore[no-untyped-def]
    """Concentrated likelihood with gradient and Hessian by the link variables, in double precision.

    With b = Gamma^{-1} g and the fit y^ = sum_a b_a phi_a, the derivatives by link variables i, j at fixed b give

        f_i  = 2 Re <y^_i, Y - y^>,
        f_ij = 2 Re <y^_ij, Y - y^> - 2 Re <y^_i, y^_j> + 2 Re e_j^H Gamma^{-1} e_i,   e_i = g_i - Gamma_i b.

    Parameters
    ----------
    theta, psi : (N, K) angles [rad] and delays [rad per subcarrier].
    gradient, hessian : (2 N K,) and (2 N K, 2 N K) out; angles first, index n K + k.
    amplitudes : (N, A) out, the maximizing amplitudes of each receiver.

    Returns
    -------
    The value f, or -inf where two signatures cannot be told apart.
    """
    n_nodes, n_targets = theta.shape
    n_signatures = len(signal.active) * n_targets
    n_links = n_nodes * n_targets
    products, moments, slope, port = work.products, work.moments, work.slope, work.port
    _prepare(theta, psi, signal, work)
    for v in range(2 * n_links):
        gradient[v] = 0.0
        for v2 in range(2 * n_links):
            hessian[v, v2] = 0.0
    value = 0.0
    for n in range(n_nodes):
        b = amplitudes[n]
        value += _project(n, signal, n_nodes, work, b)
        if value == -np.inf:
            return value
        # Ports 0..3 of a signature carry its derivatives by receive angle, delay, transmit angle, delay.
        for a in range(n_signatures):
            m, k = signal.active[a // n_targets], a % n_targets
            port[a, 0], port[a, 1] = n * n_targets + k, n_links + n * n_targets + k
            port[a, 2], port[a, 3] = m * n_targets + k, n_links + m * n_targets + k
        for v in range(2 * n_links):
            for a in range(n_signatures):
                slope[v, a] = 0.0
        for a in range(n_signatures):
            m = signal.active[a // n_targets]
            for a2 in range(n_signatures):
                block = m * n_nodes + signal.active[a2 // n_targets]
                if signal.overlap_start[block] == signal.overlap_start[block + 1]:
                    continue
                moment = moments[a, a2]
                for s in range(1, 10):
                    products[a, s] -= b[a2] * moment[12 + s]
                weight = 2.0 * np.conj(b[a]) * b[a2]
                for j in range(4):
                    sj = 1 if j == 3 else j
                    slope[port[a2, j], a] -= b[a2] * moment[1 + sj]
                    for i in range(4):
                        si = 1 if i == 3 else i
                        entry = moment[4 + 3 * si + sj]
                        hessian[port[a, i], port[a2, j]] -= weight.real * entry.real - weight.imag * entry.imag
        for a in range(n_signatures):
            weight = 2.0 * np.conj(b[a])
            for i in range(4):
                si = 1 if i == 3 else i
                slope[port[a, i], a] += products[a, 1 + si]
                gradient[port[a, i]] += (weight * products[a, 1 + si]).real
                for j in range(4):
                    sj = 1 if j == 3 else j
                    low, high = min(si, sj), max(si, sj)
                    second = 4 + low * 3 - (low * (low - 1)) // 2 + high - low
                    hessian[port[a, i], port[a, j]] += (weight * products[a, second]).real
        for v in range(2 * n_links):
            _forward(work.factor, slope[v])
            for v2 in range(v + 1):
                total = 0.0
                for a in range(n_signatures):
                    total += slope[v, a].real * slope[v2, a].real + slope[v, a].imag * slope[v2, a].imag
                hessian[v, v2] += 2.0 * total
                if v2 < v:
                    hessian[v2, v] += 2.0 * total
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def condition(theta, psi, signal, work, scale, unit, residual_r, residual_i, inverse, beam_r, beam_i):  # type: ignore[no-untyped-def]
    """Take found targets out of the data: what :func:`evaluate_grid` needs to place one more target beside them.

    Parameters
    ----------
    theta, psi : (N, K') link variables of the found targets, K' may be 0.
    scale, unit : positive scales of data and transmit correlations, divided out for single precision.
    residual_r, residual_i : (N, P, M_r, M_t) out, cross statistics minus the fit.
    inverse : (N, N K', N K') out, inverse Gram matrices, zero for silent nodes.
    beam_r, beam_i : (Q + N, K', max(M_t, M_r), 1) out, coefficients of the found targets' beams as polynomials in a
        candidate's phase factor: first the transmit correlations of each overlap contracted with steering and delay of
        (m', k'), then the steering vector of each node.

    Returns
    -------
    Concentrated likelihood of the found targets alone, -inf when their signatures cannot be told apart.
    """
    n_nodes, n_found = theta.shape
    n_rx, n_tx = residual_r.shape[2], residual_r.shape[3]
    n_pairs = residual_r.shape[1]
    for n in range(n_nodes):
        for p in range(n_pairs):
            for r in range(n_rx):
                for i in range(n_tx):
                    residual_r[n, p, r, i] = signal.cross_r[n, r, i * n_pairs + p] / scale
                    residual_i[n, p, r, i] = signal.cross_i[n, r, i * n_pairs + p] / scale
    value = 0.0
    if n_found == 0:
        return value
    n_signatures = len(signal.active) * n_found
    b, column = np.empty(n_signatures, np.complex128), np.empty(n_signatures, np.complex128)
    _prepare(theta, psi, signal, work)
    n_overlaps = len(signal.own)
    for k in range(n_found):
        for q in range(n_overlaps):
            p2 = signal.other[q]
            turn = complex(work.tx_delay[0, k, p2], -work.tx_delay[1, k, p2]) / unit
            for i in range(beam_r.shape[2]):
                entry = 0j
                if i < n_tx:
                    entry = complex(work.beamed[0, k, 0, i, q], work.beamed[1, k, 0, i, q]) * turn
                beam_r[q, k, i, 0], beam_i[q, k, i, 0] = entry.real, entry.imag
        for n in range(n_nodes):
            for i in range(beam_r.shape[2]):
                entry = work.steer[n, k, 0, i] if i < n_rx else 0j
                beam_r[n_overlaps + n, k, i, 0], beam_i[n_overlaps + n, k, i, 0] = entry.real, entry.imag
    for n in range(n_nodes):
        value += _project(n, signal, n_nodes, work, b)
        if value == -np.inf:
            return value
        for a in range(n_signatures):
            for a2 in range(n_signatures):
                column[a2] = 1.0 if a2 == a else 0.0
            _forward(work.factor, column)
            _backward(work.factor, column)
            to = signal.active[a // n_found] * n_found + a % n_found
            for a2 in range(n_signatures):
                inverse[n, signal.active[a2 // n_found] * n_found + a2 % n_found, to] = column[a2] * unit
        for index2 in range(len(signal.active)):
            for index in range(len(signal.active)):
                block = signal.active[index] * n_nodes + signal.active[index2]
                for q in range(signal.overlap_start[block], signal.overlap_start[block + 1]):
                    p, p2 = signal.own[q], signal.other[q]
                    for k in range(n_found):
                        weight = b[index2 * n_found + k] * work.delay[n, k, signal.line[p]] / scale
                        weight *= complex(work.tx_delay[0, k, p2], -work.tx_delay[1, k, p2])
                        for r in range(n_rx):
                            left = weight * work.steer[n, k, 0, r]
                            for i in range(n_tx):
                                entry = left * complex(work.beamed[0, k, 0, i, q], work.beamed[1, k, 0, i, q])
                                residual_r[n, p, r, i] -= entry.real
                                residual_i[n, p, r, i] -= entry.imag
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _links(point, scene, theta, psi):  # type: ignore[no-untyped-def]
    """Link variables theta and psi of the parameter vector; False when a target lies on a node."""
    n_nodes, n_targets = theta.shape
    free = 2 * n_targets
    for n in range(n_nodes):
        for k in range(n_targets):
            dx, dy = point[2 * k] - scene.nodes[n, 0], point[2 * k + 1] - scene.nodes[n, 1]
            distance = np.hypot(dx, dy)
            if distance == 0.0:
                return False
            if scene.angle_rule == TIED:
                theta[n, k] = np.arctan2(dy, dx) - scene.orientations[n]
            elif scene.angle_rule == FREE:
                theta[n, k] = point[free + n * n_targets + k]
            if scene.delay_rule == TIED:
                psi[n, k] = scene.delay_scale * distance
            elif scene.delay_rule == FREE:
                psi[n, k] = point[free + n * n_targets + k]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _chain(point, scene, gradient, hessian, jacobian, scratch, grad, hess):  # type: ignore[no-untyped-def]
    """Gradient and Hessian by the parameter vector from those by the link variables, second derivatives included."""
    n_nodes = scene.nodes.shape[0]
    size, n_variables = len(point), len(gradient)
    n_links = n_variables // 2
    n_targets = n_links // n_nodes
    for i in range(size):
        grad[i] = 0.0
        for v in range(n_variables):
            jacobian[v, i] = 0.0
        for j in range(size):
            hess[i, j] = 0.0
    free = 2 * n_targets
    for n in range(n_nodes):
        for k in range(n_targets):
            link = n * n_targets + k
            x, y = 2 * k, 2 * k + 1
            dx, dy = point[x] - scene.nodes[n, 0], point[y] - scene.nodes[n, 1]
            r2 = dx * dx + dy * dy
            r = np.sqrt(r2)
            if scene.angle_rule == TIED:
                jacobian[link, x] = -dy / r2
                jacobian[link, y] = dx / r2
                g = gradient[link] / (r2 * r2)
                hess[x, x] += g * 2 * dx * dy
                hess[y, y] -= g * 2 * dx * dy
                hess[x, y] += g * (dy * dy - dx * dx)
                hess[y, x] += g * (dy * dy - dx * dx)
            elif scene.angle_rule == FREE:
                jacobian[link, free + link] = 1.0
            if scene.delay_rule == TIED:
                jacobian[n_links + link, x] = scene.delay_scale * dx / r
                jacobian[n_links + link, y] = scene.delay_scale * dy / r
                g = gradient[n_links + link] * scene.delay_scale / (r2 * r)
                hess[x, x] += g * dy * dy
                hess[y, y] += g * dx * dx
                hess[x, y] -= g * dx * dy
                hess[y, x] -= g * dx * dy
            elif scene.delay_rule == FREE:
                jacobian[n_links + link, free + link] = 1.0
    for i in range(size):
        for v in range(n_variables):
            total = 0.0
            for v2 in range(n_variables):
                total += hessian[v, v2] * jacobian[v2, i]
            scratch[v] = total
            grad[i] += gradient[v] * jacobian[v, i]
        for j in range(size):
            total = 0.0
            for v in range(n_variables):
                total += jacobian[v, j] * scratch[v]
            hess[j, i] += total


@njit(cache=True, nogil=True, error_model="numpy")
def _newton_step(grad, hess, held, damping, factor, step):  # type: ignore[no-untyped-def]
    """Step that maximizes the damped quadratic model over the free coordinates; False when it has no maximum."""
    size = len(grad)
    for i in range(size):
        scale = np.sqrt(max(abs(hess[i, i]), 1e-300))
        for j in range(i + 1):
            other = np.sqrt(max(abs(hess[j, j]), 1e-300))
            entry = -hess[i, j] / (scale * other)
            if held[i] or held[j]:
                entry = 0.0
            if i == j:
                entry = 1.0 if held[i] else entry + damping
            factor[i, j] = entry
        step[i] = 0.0 if held[i] else grad[i] / scale
    for i in range(size):
        for j in range(i + 1):
            total = factor[i, j]
            for c in range(j):
                total -= factor[i, c] * factor[j, c]
            if i == j:
                if not total > 1e-10:
                    return False
                factor[i, i] = np.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(size):
        total = step[i]
        for j in range(i):
            total -= factor[i, j] * step[j]
        step[i] = total / factor[i, i]
    for i in range(size - 1, -1, -1):
        total = step[i]
        for j in range(i + 1, size):
            total -= factor[j, i] * step[j]
        step[i] = total / factor[i, i]
    for i in range(size):
        step[i] /= np.sqrt(max(abs(hess[i, i]), 1e-300))
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def refine(point, scene, signal, work, trust_m, tolerance, max_iterations, degrees, theta, psi, amplitudes):  # type: ignore[no-untyped-def]
    """Climb to the maximum of the concentrated likelihood near ``point`` by damped Newton steps inside the area.

    The step solves (-H + damping diag|H|) p = gradient over the coordinates that the box does not hold; it is accepted
    when the likelihood rises, the damping falls with good agreement and grows after a refusal.

    Parameters
    ----------
    point : (2 K [+ N K],) positions x_1, y_1, x_2, ... [m], then free link variables; overwritten by the maximum.
    trust_m : longest step of a target [m].
    tolerance : Newton decrement at which the climb ends, in standard deviations of the estimate.
    degrees : complex degrees of freedom of the residual, for the noise variance.
    theta, psi : (N, K) link variables; entries under a FIXED rule are read, the others overwritten.
    amplitudes : (N, A) out, amplitudes at the maximum.

    Returns
    -------
    value, newton decrement, evaluations, converged
    """
    n_nodes, n_targets = theta.shape
    size, n_variables = len(point), 2 * n_nodes * n_targets
    gradient, hessian = np.empty(n_variables), np.empty((n_variables, n_variables))
    jacobian, scratch = np.empty((n_variables, size)), np.empty(n_variables)
    grad, hess = np.empty(size), np.empty((size, size))
    factor, step, trial = np.empty((size, size)), np.empty(size), point.copy()
    held = np.zeros(size, np.bool_)
    trial_theta, trial_psi, trial_amplitudes = theta.copy(), psi.copy(), np.empty_like(amplitudes)
    energy, area = signal.energy, scene.area
    value, predicted, damping, decrement = -np.inf, 0.0, 0.0, np.inf
    evaluations = 0
    while True:
        new = -np.inf
        if _links(trial, scene, trial_theta, trial_psi):
            new = _likelihood(trial_theta, trial_psi, signal, work, gradient, hessian, trial_amplitudes)
        evaluations += 1
        rise = new - value
        # Within the rounding error of the value itself, the gradient still tells the way.
        rounds = abs(predicted) <= 1e-13 * energy and rise >= -1e-13 * energy
        if new > -np.inf and (rounds or (rise > 0.0 and rise >= 1e-4 * predicted)):
            if rise >= 0.5 * predicted:
                damping = 0.0 if damping < 1e-4 else 0.1 * damping
            elif rise < 0.1 * predicted:
                damping = max(2.0 * damping, 1e-3)
            value = new
            _copy(trial, point)
            _copy(trial_theta.ravel(), theta.ravel())
            _copy(trial_psi.ravel(), psi.ravel())
            _copy(trial_amplitudes.ravel(), amplitudes.ravel())
            _chain(point, scene, gradient, hessian, jacobian, scratch, grad, hess)
            for i in range(2 * n_targets):
                low, high = area[i % 2, 0], area[i % 2, 1]
                held[i] = (point[i] <= low and grad[i] < 0.0) or (point[i] >= high and grad[i] > 0.0)
            decrement = np.inf
            if _newton_step(grad, hess, held, 0.0, factor, step):
                gain = 0.0
                for i in range(size):
                    gain += grad[i] * step[i]
                noise = max((energy - value) / degrees, 1e-26 * energy)
                decrement = np.sqrt(max(gain, 0.0) / noise)
                if decrement <= tolerance or gain <= 1e-26 * energy:
                    return value, decrement, evaluations, True
        elif value == -np.inf:
            return value, decrement, evaluations, False
        else:
            damping = max(8.0 * damping, 1e-3)
        if evaluations > max_iterations or damping > 1e12:
            return value, decrement, evaluations, False
        while not _newton_step(grad, hess, held, damping, factor, step):
            damping = max(4.0 * damping, 1e-3)
            if damping > 1e12:
                return value, decrement, evaluations, False
        shrink = 1.0
        for k in range(n_targets):
            shrink = min(shrink, trust_m / max(np.hypot(step[2 * k], step[2 * k + 1]), 1e-300))
        for i in range(size):
            trial[i] = point[i] + shrink * step[i]
            if i < 2 * n_targets:
                trial[i] = min(max(trial[i], area[i % 2, 0]), area[i % 2, 1])
        predicted = 0.0
        for i in range(size):
            predicted += grad[i] * (trial[i] - point[i])
            for j in range(size):
                predicted += 0.5 * (trial[i] - point[i]) * hess[i, j] * (trial[j] - point[j])


@njit(cache=True, nogil=True, error_model="numpy")
def _copy(source, target):  # type: ignore[no-untyped-def]
    for i in range(source.size):
        target[i] = source[i]
