r"""Numba kernels of the concentrated position likelihood.

With white noise the maximum over the amplitudes of the likelihood of Eq. (6) leaves

.. math:: f = \sum_n g_n^H \Gamma_n^{-1} g_n, \qquad g_n[a] = \langle\phi_{na}, Y_n\rangle, \quad
          \Gamma_n[a, a'] = \langle\phi_{na}, \phi_{na'}\rangle,

where signature a = (m, k) is the echo of transmitter m from target k at receiver n. A signature depends on link variables
alone: the angles theta[n, k] and the delays psi[n, k] = 2 pi (B / L) tau[n, k], in radians per subcarrier.

Data layout shared by all kernels ("pairs"): pair p is a node ``pair_node[p]`` that transmits on subcarrier ``pair_sub[p]``,
sorted by node, then subcarrier; ``node_start[m] : node_start[m + 1]`` are the pairs of node m, none for a silent node.
"Overlaps" are the pairs of pairs on one subcarrier, sorted by their two nodes, with ``overlap_start[m * N + m']`` the first
one of (m, m') and ``overlap_sub`` their subcarrier; orthogonal signals overlap only with themselves. ``cross[n, p]`` is the (M_r, M_t) block of Y X^H, and
``gram[q]`` the (M_t, M_t) block of X X^H with rows m', columns m.

All kernels live in this module because Numba's cache does not notice a changed helper in another module.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 128
"""Grid points that one pass of the grid kernels treats together; the work arrays of a block fit the first-level cache."""

TIED, FIXED, FREE = 0, 1, 2
"""Rules of a link variable: it follows from the position, it is known, or it is a nuisance parameter of its own."""


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _scale_by_power(acc_r, acc_i, wr, wi, power, n):  # type: ignore[no-untyped-def]
    """acc *= w^power at n points."""
    for _ in range(power):
        for p in range(n):
            tr = acc_r[p] * wr[p] - acc_i[p] * wi[p]
            acc_i[p] = acc_r[p] * wi[p] + acc_i[p] * wr[p]
            acc_r[p] = tr


@njit(cache=True, nogil=True)
def evaluate_grid(  # type: ignore[no-untyped-def]
    zr, zi, wr, wi, pair_sub, node_start, cross_r, cross_i, overlap_start, overlap_sub, gram_r, gram_i, power_r, power_i,
    orthogonal, found_theta, found_psi, found_inverse, fgram_r, fgram_i, floor, out,
):  # fmt: skip
    """Gain of the concentrated likelihood when one target is put at each grid point beside the ones already found.

    Single precision: it ranks candidates, which are then refined in double precision. With Schur complements
    (the found targets are projected out of both data and candidate signatures) the gain at a point is exact.

    Parameters
    ----------
    zr, zi : (N, G) exp(-j pi sin theta) of every grid point.
    wr, wi : (N, G) exp(+j psi) of every grid point.
    cross_r, cross_i : (N, P, M_r, M_t) cross statistics, found targets subtracted.
    gram_r, gram_i : (Q, M_t, M_t) transmit correlations of the overlaps, rows m', columns m.
    power_r, power_i : (N, M_t, M_t) each node's own correlations summed over subcarriers.
    orthogonal : no two nodes share a subcarrier, Gamma is block diagonal over transmitters.
    found_theta, found_psi : (N, K') link variables of the found targets.
    found_inverse : (N, A', A') inverse Gram matrices of the found signatures a = m' K' + k', zero for silent nodes.
    fgram_r, fgram_i : (Q, K', M_t, 1) gram blocks contracted with the found targets' steering and delay.
    floor : relative size below which a Schur complement counts as lost.
    out : (G,) gain; points off limits must be marked by the caller.
    """
    n_nodes, n_points = zr.shape
    n_tx = cross_r.shape[3]
    n_rx = cross_r.shape[2]
    n_found = found_theta.shape[1]
    n_signatures = n_nodes * n_found
    f32 = np.float32
    work = np.empty((10, BLOCK), f32)
    inner_r, inner_i, poly_r, poly_i = work[0], work[1], work[2], work[3]
    ww_r, ww_i, acc_r, acc_i, vv_r, vv_i = work[4], work[5], work[6], work[7], work[8], work[9]
    numer = np.empty((2, n_nodes, BLOCK), f32)
    base = np.zeros((2, n_nodes, n_nodes, BLOCK), f32)
    overlap_poly = np.empty((2, len(overlap_sub), BLOCK), f32)
    found_poly = np.empty((2, len(overlap_sub), n_found, BLOCK), f32)
    coupling = np.zeros((2, n_nodes, n_signatures, BLOCK), f32)
    rho = np.empty((2, n_found, BLOCK), f32)
    row_r, row_i = np.empty((n_rx, 1), f32), np.empty((n_rx, 1), f32)
    schur = np.zeros((n_nodes, n_nodes), np.complex64)
    vec = np.zeros(n_nodes, np.complex64)
    fvec = np.zeros(n_signatures, np.complex64)
    for start in range(0, n_points, BLOCK):
        n = min(BLOCK, n_points - start)
        end = start + n
        for p in range(n):
            out[start + p] = 0.0
        # Transmit correlations between the beams of m and m' at the points, summed over shared subcarriers.
        for m in range(n_nodes):
            zmr, zmi = zr[m, start:end], zi[m, start:end]
            for m2 in range(n_nodes):
                first, last = overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]
                if first == last:
                    continue
                for k in range(n_found):
                    for q in range(first, last):
                        _polynomial(
                            fgram_r[q, k], fgram_i[q, k], zmr, zmi, zmr, zmi, n,
                            inner_r, inner_i, found_poly[0, q, k], found_poly[1, q, k],
                        )  # fmt: skip
                if m2 < m:
                    continue
                for p in range(n):
                    vv_r[p] = zr[m2, start + p]
                    vv_i[p] = -zi[m2, start + p]
                    ww_r[p] = wr[m, start + p] * wr[m2, start + p] + wi[m, start + p] * wi[m2, start + p]
                    ww_i[p] = wi[m, start + p] * wr[m2, start + p] - wr[m, start + p] * wi[m2, start + p]
                    acc_r[p] = 0.0
                    acc_i[p] = 0.0
                if m2 == m:
                    _polynomial(
                        power_r[m], power_i[m], vv_r, vv_i, zmr, zmi, n, inner_r, inner_i, base[0, m, m], base[1, m, m]
                    )
                    continue
                for q in range(last - 1, first - 1, -1):
                    here = overlap_sub[q]
                    below = overlap_sub[q - 1] if q > first else 0
                    _polynomial(gram_r[q], gram_i[q], vv_r, vv_i, zmr, zmi, n, inner_r, inner_i, poly_r, poly_i)
                    for p in range(n):
                        acc_r[p] += poly_r[p]
                        acc_i[p] += poly_i[p]
                    _scale_by_power(acc_r, acc_i, ww_r, ww_i, here - below, n)
                for p in range(n):
                    base[0, m, m2, p] = acc_r[p]
                    base[1, m, m2, p] = acc_i[p]
        for receiver in range(n_nodes):
            znr, zni = zr[receiver, start:end], zi[receiver, start:end]
            for k in range(n_found):
                angle = np.pi * np.sin(found_theta[receiver, k])
                for r in range(n_rx):
                    row_r[r, 0] = np.cos(angle * r)
                    row_i[r, 0] = np.sin(angle * r)
                _polynomial(row_r, row_i, znr, zni, znr, zni, n, inner_r, inner_i, rho[0, k], rho[1, k])
            for m in range(n_nodes):
                first, last = node_start[m], node_start[m + 1]
                if first == last:
                    continue
                zmr, zmi = zr[m, start:end], zi[m, start:end]
                for p in range(n):
                    ww_r[p] = wr[receiver, start + p] * wr[m, start + p] - wi[receiver, start + p] * wi[m, start + p]
                    ww_i[p] = wr[receiver, start + p] * wi[m, start + p] + wi[receiver, start + p] * wr[m, start + p]
                    acc_r[p] = 0.0
                    acc_i[p] = 0.0
                for pair in range(last - 1, first - 1, -1):
                    below = pair_sub[pair - 1] if pair > first else (pair_sub[pair] if orthogonal else 0)
                    _polynomial(
                        cross_r[receiver, pair], cross_i[receiver, pair], znr, zni, zmr, zmi, n,
                        inner_r, inner_i, poly_r, poly_i,
                    )  # fmt: skip
                    for p in range(n):
                        acc_r[p] += poly_r[p]
                        acc_i[p] += poly_i[p]
                    _scale_by_power(acc_r, acc_i, ww_r, ww_i, pair_sub[pair] - below, n)
                for p in range(n):
                    numer[0, m, p] = acc_r[p]
                    numer[1, m, p] = acc_i[p]
                for m2 in range(n_nodes):
                    first, last = overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]
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
                            here = overlap_sub[q]
                            below = overlap_sub[q - 1] if q > first else (here if orthogonal else 0)
                            for p in range(n):
                                acc_r[p] += found_poly[0, q, k, p]
                                acc_i[p] += found_poly[1, q, k, p]
                            _scale_by_power(acc_r, acc_i, vv_r, vv_i, here - below, n)
                        a = m2 * n_found + k
                        for p in range(n):
                            coupling[0, m, a, p] = acc_r[p] * rho[0, k, p] - acc_i[p] * rho[1, k, p]
                            coupling[1, m, a, p] = acc_r[p] * rho[1, k, p] + acc_i[p] * rho[0, k, p]
            if orthogonal:
                for m in range(n_nodes):
                    if node_start[m] == node_start[m + 1]:
                        continue
                    for p in range(n):
                        acc_r[p] = n_rx * base[0, m, m, p]
                        acc_i[p] = acc_r[p]
                    for k in range(n_found):
                        for k2 in range(n_found):
                            entry = found_inverse[receiver, m * n_found + k, m * n_found + k2]
                            er, ei = f32(entry.real), f32(entry.imag)
                            cr, ci = coupling[0, m, m * n_found + k], coupling[1, m, m * n_found + k]
                            c2r, c2i = coupling[0, m, m * n_found + k2], coupling[1, m, m * n_found + k2]
                            for p in range(n):
                                re = cr[p] * c2r[p] + ci[p] * c2i[p]
                                im = ci[p] * c2r[p] - cr[p] * c2i[p]
                                acc_r[p] -= re * er - im * ei
                    for p in range(n):
                        bottom = max(floor * acc_i[p], floor * floor)
                        energy = numer[0, m, p] ** 2 + numer[1, m, p] ** 2
                        out[start + p] += energy / max(acc_r[p], bottom)
                continue
            for p in range(n):
                for m in range(n_nodes):
                    if node_start[m] == node_start[m + 1]:
                        continue
                    vec[m] = complex(numer[0, m, p], numer[1, m, p])
                    for m2 in range(m + 1):
                        schur[m, m2] = n_rx * complex(base[0, m2, m, p], -base[1, m2, m, p])
                    for a in range(n_signatures):
                        total = complex(0.0)
                        for a2 in range(n_signatures):
                            total += (
                                complex(coupling[0, m, a2, p], coupling[1, m, a2, p]) * found_inverse[receiver, a2, a]
                            )
                        fvec[a] = total
                    for m2 in range(m + 1):
                        total = complex(0.0)
                        for a in range(n_signatures):
                            total += fvec[a] * complex(coupling[0, m2, a, p], -coupling[1, m2, a, p])
                        schur[m, m2] -= total
                gain = 0.0
                for m in range(n_nodes):
                    if node_start[m] == node_start[m + 1]:
                        continue
                    size = n_rx * base[0, m, m, p]
                    pivot = schur[m, m].real
                    top = vec[m]
                    for j in range(m):
                        if node_start[j] == node_start[j + 1]:
                            continue
                        total = schur[m, j]
                        for i in range(j):
                            if node_start[i] < node_start[i + 1]:
                                total -= schur[m, i] * np.conj(schur[j, i])
                        entry = total / schur[j, j].real
                        schur[m, j] = entry
                        pivot -= entry.real * entry.real + entry.imag * entry.imag
                        top -= entry * vec[j]
                    root = np.sqrt(max(pivot, max(floor * size, floor * floor)))
                    schur[m, m] = complex(root)
                    vec[m] = top / root
                    gain += vec[m].real ** 2 + vec[m].imag ** 2
                out[start + p] += gain


@njit(cache=True, nogil=True)
def _steering(theta, table):  # type: ignore[no-untyped-def]
    """table[n, k, 0..2, i]: steering vector of angle theta[n, k] and its first two derivatives."""
    n_antennas = table.shape[3]
    for n in range(theta.shape[0]):
        for k in range(theta.shape[1]):
            sine, cosine = np.sin(theta[n, k]), np.cos(theta[n, k])
            for i in range(n_antennas):
                value = np.exp(1j * (np.pi * i * sine))
                slope = 1j * (np.pi * i * cosine)
                table[n, k, 0, i] = value
                table[n, k, 1, i] = slope * value
                table[n, k, 2, i] = (slope * slope - 1j * (np.pi * i * sine)) * value


@njit(cache=True, nogil=True)
def _echo_products(n, theta_table, delay, pair_sub, node_start, cross, active, products):  # type: ignore[no-untyped-def]
    """products[a, s]: derivative s of the signature a = (m, k) at receiver n against the data.

    s = 0 value; 1, 2, 3 first derivatives by receive angle, path delay, transmit angle;
    4..9 second derivatives (1,1), (1,2), (1,3), (2,2), (2,3), (3,3).
    """
    n_rx, n_tx = cross.shape[2], cross.shape[3]
    n_targets = theta_table.shape[1]
    for index in range(len(active)):
        m = active[index]
        for k in range(n_targets):
            a = index * n_targets + k
            s00 = s10 = s01 = s20 = s11 = s02 = 0j
            t00 = t10 = t01 = u00 = 0j
            for p in range(node_start[m], node_start[m + 1]):
                line = pair_sub[p]
                v00 = v10 = v01 = v20 = v11 = v02 = 0j
                for i in range(n_tx):
                    r0 = r1 = r2 = 0j
                    for r in range(n_rx):
                        entry = cross[n, p, r, i]
                        r0 += np.conj(theta_table[n, k, 0, r]) * entry
                        r1 += np.conj(theta_table[n, k, 1, r]) * entry
                        r2 += np.conj(theta_table[n, k, 2, r]) * entry
                    a0 = np.conj(theta_table[m, k, 0, i])
                    a1 = np.conj(theta_table[m, k, 1, i])
                    a2 = np.conj(theta_table[m, k, 2, i])
                    v00 += r0 * a0
                    v10 += r1 * a0
                    v20 += r2 * a0
                    v01 += r0 * a1
                    v11 += r1 * a1
                    v02 += r0 * a2
                phase = np.conj(delay[n, k, line] * delay[m, k, line])
                v00 *= phase
                v10 *= phase
                v01 *= phase
                s00 += v00
                s10 += v10
                s01 += v01
                s20 += v20 * phase
                s11 += v11 * phase
                s02 += v02 * phase
                t00 += line * v00
                t10 += line * v10
                t01 += line * v01
                u00 += line * line * v00
            products[a, 0] = s00
            products[a, 1] = s10
            products[a, 2] = 1j * t00
            products[a, 3] = s01
            products[a, 4] = s20
            products[a, 5] = 1j * t10
            products[a, 6] = s11
            products[a, 7] = -u00
            products[a, 8] = 1j * t01
            products[a, 9] = s02


@njit(cache=True, nogil=True)
def _beam_products(theta_table, overlap_start, overlap_sub, gram, active, beams, scratch):  # type: ignore[no-untyped-def]
    """beams[q, k, k', 0..4]: a_t^(y')(m', k')^T gram[q] conj(a_t^(y)(m, k)), (y, y') = (0,0), (1,0), (2,0), (0,1), (1,1)."""
    n_nodes, n_targets = theta_table.shape[:2]
    n_tx = gram.shape[1]
    for index in range(len(active)):
        m = active[index]
        for index2 in range(len(active)):
            m2 = active[index2]
            for q in range(overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]):
                for k2 in range(n_targets):
                    for i in range(n_tx):
                        value = slope = 0j
                        for i2 in range(n_tx):
                            value += theta_table[m2, k2, 0, i2] * gram[q, i2, i]
                            slope += theta_table[m2, k2, 1, i2] * gram[q, i2, i]
                        scratch[0, i] = value
                        scratch[1, i] = slope
                    for k in range(n_targets):
                        b00 = b10 = b20 = b01 = b11 = 0j
                        for i in range(n_tx):
                            a0 = np.conj(theta_table[m, k, 0, i])
                            a1 = np.conj(theta_table[m, k, 1, i])
                            b00 += scratch[0, i] * a0
                            b10 += scratch[0, i] * a1
                            b20 += scratch[0, i] * np.conj(theta_table[m, k, 2, i])
                            b01 += scratch[1, i] * a0
                            b11 += scratch[1, i] * a1
                        beams[q, k, k2, 0] = b00
                        beams[q, k, k2, 1] = b10
                        beams[q, k, k2, 2] = b20
                        beams[q, k, k2, 3] = b01
                        beams[q, k, k2, 4] = b11


@njit(cache=True, nogil=True)
def _gram_moments(n, theta_table, n_rx, delay, overlap_start, overlap_sub, active, beams, moments):  # type: ignore[no-untyped-def]
    """Inner products of the signatures a, a' of receiver n and of their derivatives.

    moments[a, a', c]: c = 0 value; 1, 2, 3 derivative of a' (receive angle, delay, transmit angle); 4..12 derivative of a
    by 1, 2, 3 times derivative of a' by 1, 2, 3; 13, 14, 15 derivative of a; 16..21 second derivatives of a in the order
    of :func:`_echo_products`.
    """
    n_nodes, n_targets = theta_table.shape[:2]
    for index in range(len(active)):
        m = active[index]
        for index2 in range(len(active)):
            m2 = active[index2]
            first, last = overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]
            if first == last:
                continue
            for k in range(n_targets):
                for k2 in range(n_targets):
                    r00 = r10 = r01 = r11 = r20 = 0j
                    for r in range(n_rx):
                        c0 = np.conj(theta_table[n, k, 0, r])
                        c1 = np.conj(theta_table[n, k, 1, r])
                        r00 += c0 * theta_table[n, k2, 0, r]
                        r10 += c1 * theta_table[n, k2, 0, r]
                        r01 += c0 * theta_table[n, k2, 1, r]
                        r11 += c1 * theta_table[n, k2, 1, r]
                        r20 += np.conj(theta_table[n, k, 2, r]) * theta_table[n, k2, 0, r]
                    s0 = s1 = s2 = t10 = t10l = t20 = t01 = t01l = t11 = 0j
                    for q in range(first, last):
                        line = overlap_sub[q]
                        phase = np.conj(delay[n, k, line] * delay[m, k, line]) * (
                            delay[n, k2, line] * delay[m2, k2, line]
                        )
                        v = phase * beams[q, k, k2, 0]
                        s0 += v
                        s1 += line * v
                        s2 += line * line * v
                        v = phase * beams[q, k, k2, 1]
                        t10 += v
                        t10l += line * v
                        t20 += phase * beams[q, k, k2, 2]
                        v = phase * beams[q, k, k2, 3]
                        t01 += v
                        t01l += line * v
                        t11 += phase * beams[q, k, k2, 4]
                    out = moments[index * n_targets + k, index2 * n_targets + k2]
                    out[0] = r00 * s0
                    out[1] = r01 * s0
                    out[2] = -1j * r00 * s1
                    out[3] = r00 * t01
                    out[4] = r11 * s0
                    out[5] = -1j * r10 * s1
                    out[6] = r10 * t01
                    out[7] = 1j * r01 * s1
                    out[8] = r00 * s2
                    out[9] = 1j * r00 * t01l
                    out[10] = r01 * t10
                    out[11] = -1j * r00 * t10l
                    out[12] = r00 * t11
                    out[13] = r10 * s0
                    out[14] = 1j * r00 * s1
                    out[15] = r00 * t10
                    out[16] = r20 * s0
                    out[17] = 1j * r10 * s1
                    out[18] = r10 * t10
                    out[19] = -r00 * s2
                    out[20] = 1j * r00 * t10l
                    out[21] = r00 * t20


@njit(cache=True, nogil=True)
def _cholesky(matrix, size, least):  # type: ignore[no-untyped-def]
    """Lower Cholesky factor in place; False when a pivot is below ``least`` of its diagonal entry."""
    for i in range(size):
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
                matrix[i, j] = total / matrix[j, j]
    return True


@njit(cache=True, nogil=True)
def _forward(factor, size, vector):  # type: ignore[no-untyped-def]
    """Solve factor x = vector in place for a lower triangular factor."""
    for i in range(size):
        total = vector[i]
        for j in range(i):
            total -= factor[i, j] * vector[j]
        vector[i] = total / factor[i, i]


@njit(cache=True, nogil=True)
def _backward(factor, size, vector):  # type: ignore[no-untyped-def]
    """Solve factor^H x = vector in place for a lower triangular factor."""
    for i in range(size - 1, -1, -1):
        total = vector[i]
        for j in range(i + 1, size):
            total -= np.conj(factor[j, i]) * vector[j]
        vector[i] = total / factor[i, i].real


SINGULAR = 1e-10
"""Relative pivot of Gamma below which two signatures count as indistinguishable."""


@njit(cache=True, nogil=True)
def evaluate(  # type: ignore[no-untyped-def]
    theta, psi, pair_sub, node_start, cross, overlap_start, overlap_sub, gram, active,
    gradient, hessian, amplitudes,
):  # fmt: skip
    """Concentrated likelihood with gradient and Hessian by the link variables, in double precision.

    Parameters
    ----------
    theta, psi : (N, K) angles [rad] and delays [rad per subcarrier].
    active : indices of the nodes that transmit.
    gradient : (2 N K,) out; angles first, index n K + k.
    hessian : (2 N K, 2 N K) out.
    amplitudes : (N, N_active K) out, the maximizing amplitudes b of each receiver.

    Returns
    -------
    The value f, or -inf where two signatures cannot be told apart.
    """
    n_nodes, n_targets = theta.shape
    n_rx, n_tx = cross.shape[2], cross.shape[3]
    n_signatures = len(active) * n_targets
    n_links = n_nodes * n_targets
    n_variables = 2 * n_links
    n_lines = 1
    for p in range(len(pair_sub)):
        n_lines = max(n_lines, pair_sub[p] + 1)
    table = np.empty((n_nodes, n_targets, 3, max(n_rx, n_tx)), np.complex128)
    delay = np.empty((n_nodes, n_targets, n_lines), np.complex128)
    beams = np.empty((len(overlap_sub), n_targets, n_targets, 5), np.complex128)
    scratch = np.empty((2, n_tx), np.complex128)
    products = np.empty((n_signatures, 10), np.complex128)
    moments = np.zeros((n_signatures, n_signatures, 22), np.complex128)
    factor = np.empty((n_signatures, n_signatures), np.complex128)
    slope = np.empty((n_variables, n_signatures), np.complex128)
    port = np.empty((n_signatures, 4), np.int64)

    _steering(theta, table)
    for n in range(n_nodes):
        for k in range(n_targets):
            for line in range(n_lines):
                delay[n, k, line] = np.exp(-1j * (line * psi[n, k]))
    _beam_products(table, overlap_start, overlap_sub, gram, active, beams, scratch)
    gradient[:] = 0.0
    hessian[:] = 0.0
    value = 0.0
    for n in range(n_nodes):
        _echo_products(n, table, delay, pair_sub, node_start, cross, active, products)
        _gram_moments(n, table, n_rx, delay, overlap_start, overlap_sub, active, beams, moments)
        b = amplitudes[n]
        for a in range(n_signatures):
            b[a] = products[a, 0]
            for a2 in range(n_signatures):
                factor[a, a2] = moments[a, a2, 0]
        if not _cholesky(factor, n_signatures, SINGULAR):
            return -np.inf
        _forward(factor, n_signatures, b)
        for a in range(n_signatures):
            value += b[a].real ** 2 + b[a].imag ** 2
        _backward(factor, n_signatures, b)

        for index in range(len(active)):
            m = active[index]
            for k in range(n_targets):
                a = index * n_targets + k
                port[a, 0] = n * n_targets + k
                port[a, 1] = n_links + n * n_targets + k
                port[a, 2] = m * n_targets + k
                port[a, 3] = n_links + m * n_targets + k
        # Ports 0..3 of a signature carry its derivatives by receive angle, delay, transmit angle, delay.
        slope[:] = 0.0
        for a in range(n_signatures):
            m = active[a // n_targets]
            for a2 in range(n_signatures):
                block = m * n_nodes + active[a2 // n_targets]
                if overlap_start[block] == overlap_start[block + 1]:
                    continue
                out = moments[a, a2]
                for s in range(1, 10):
                    products[a, s] -= b[a2] * out[12 + s]
                d0, d1, d2 = b[a2] * out[1], b[a2] * out[2], b[a2] * out[3]
                slope[port[a2, 0], a] -= d0
                slope[port[a2, 1], a] -= d1
                slope[port[a2, 2], a] -= d2
                slope[port[a2, 3], a] -= d1
                weight = 2.0 * np.conj(b[a]) * b[a2]
                for i in range(4):
                    si = 1 if i == 3 else i
                    for j in range(4):
                        sj = 1 if j == 3 else j
                        entry = out[4 + 3 * si + sj]
                        hessian[port[a, i], port[a2, j]] -= weight.real * entry.real - weight.imag * entry.imag
        for a in range(n_signatures):
            conj = 2.0 * np.conj(b[a])
            for i in range(4):
                si = 1 if i == 3 else i
                slope[port[a, i], a] += products[a, 1 + si]
                gradient[port[a, i]] += (conj * products[a, 1 + si]).real
                for j in range(4):
                    sj = 1 if j == 3 else j
                    low, high = min(si, sj), max(si, sj)
                    second = 4 + low * 3 - (low * (low - 1)) // 2 + high - low
                    hessian[port[a, i], port[a, j]] += (conj * products[a, second]).real
        for v in range(n_variables):
            _forward(factor, n_signatures, slope[v])
        for v in range(n_variables):
            for v2 in range(v + 1):
                total = 0.0
                for a in range(n_signatures):
                    total += slope[v, a].real * slope[v2, a].real + slope[v, a].imag * slope[v2, a].imag
                hessian[v, v2] += 2.0 * total
                if v2 < v:
                    hessian[v2, v] += 2.0 * total
    return value


@njit(cache=True, nogil=True)
def _links(point, rules, nodes, orientations, delay_scale, theta, psi):  # type: ignore[no-untyped-def]
    """Link variables theta and psi of the parameter vector; False when a target lies on a node."""
    n_nodes, n_targets = theta.shape
    free = 2 * n_targets
    for n in range(n_nodes):
        for k in range(n_targets):
            dx, dy = point[2 * k] - nodes[n, 0], point[2 * k + 1] - nodes[n, 1]
            distance = np.hypot(dx, dy)
            if distance == 0.0:
                return False
            if rules[0] == TIED:
                theta[n, k] = np.arctan2(dy, dx) - orientations[n]
            elif rules[0] == FREE:
                theta[n, k] = point[free + n * n_targets + k]
            if rules[1] == TIED:
                psi[n, k] = delay_scale * distance
            elif rules[1] == FREE:
                psi[n, k] = point[free + n * n_targets + k]
    return True


@njit(cache=True, nogil=True)
def _chain(point, rules, nodes, delay_scale, gradient, hessian, jacobian, scratch, grad, hess):  # type: ignore[no-untyped-def]
    """Gradient and Hessian by the parameter vector from those by the link variables, second derivatives included."""
    n_nodes = nodes.shape[0]
    size, n_variables = len(point), len(gradient)
    n_links = n_variables // 2
    n_targets = n_links // n_nodes
    jacobian[:] = 0.0
    grad[:] = 0.0
    hess[:] = 0.0
    free = 2 * n_targets
    for n in range(n_nodes):
        for k in range(n_targets):
            link = n * n_targets + k
            x, y = 2 * k, 2 * k + 1
            dx, dy = point[x] - nodes[n, 0], point[y] - nodes[n, 1]
            r2 = dx * dx + dy * dy
            r = np.sqrt(r2)
            if rules[0] == TIED:
                jacobian[link, x] = -dy / r2
                jacobian[link, y] = dx / r2
                g = gradient[link] / (r2 * r2)
                hess[x, x] += g * 2 * dx * dy
                hess[y, y] -= g * 2 * dx * dy
                hess[x, y] += g * (dy * dy - dx * dx)
                hess[y, x] += g * (dy * dy - dx * dx)
            elif rules[0] == FREE:
                jacobian[link, free + link] = 1.0
            if rules[1] == TIED:
                jacobian[n_links + link, x] = delay_scale * dx / r
                jacobian[n_links + link, y] = delay_scale * dy / r
                g = gradient[n_links + link] * delay_scale / (r2 * r)
                hess[x, x] += g * dy * dy
                hess[y, y] += g * dx * dx
                hess[x, y] -= g * dx * dy
                hess[y, x] -= g * dx * dy
            elif rules[1] == FREE:
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


@njit(cache=True, nogil=True)
def _newton_step(grad, hess, held, damping, factor, step):  # type: ignore[no-untyped-def]
    """Step that maximizes the damped quadratic model over the free coordinates; False when it has no maximum."""
    size = len(grad)
    largest = 0.0
    for i in range(size):
        largest = max(largest, abs(hess[i, i]))
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


@njit(cache=True, nogil=True)
def refine(  # type: ignore[no-untyped-def]
    point, rules, nodes, orientations, delay_scale, area, trust_m, tolerance, max_iterations, energy, degrees,
    theta, psi, pair_sub, node_start, cross, overlap_start, overlap_sub, gram, active, amplitudes,
):  # fmt: skip
    """Climb to the maximum of the concentrated likelihood near ``point`` by damped Newton steps inside the area.

    The step solves (-H + damping diag|H|) p = gradient over the coordinates that the box does not hold; it is accepted
    when the likelihood rises, the damping falls with good agreement and grows after a refusal.

    Parameters
    ----------
    point : (2 K [+ N K],) positions x_1, y_1, x_2, ... [m], then free link variables; overwritten by the maximum.
    rules : (2,) rule of the angles and of the delays: TIED, FIXED or FREE.
    delay_scale : radians per subcarrier and metre, 2 pi B / (L c).
    trust_m : longest step of a target [m].
    tolerance : Newton decrement at which the climb ends, in standard deviations of the estimate.
    energy, degrees : total energy and complex degrees of freedom of the residual, for the noise variance.
    theta, psi : (N, K) link variables; entries under FIXED are read, the others overwritten.
    amplitudes : (N, N_active K) out, amplitudes at the maximum.

    Returns
    -------
    value, newton decrement, iterations, converged
    """
    n_nodes, n_targets = theta.shape
    size, n_variables = len(point), 2 * n_nodes * n_targets
    gradient, hessian = np.empty(n_variables), np.empty((n_variables, n_variables))
    jacobian, scratch = np.empty((n_variables, size)), np.empty(n_variables)
    grad, hess = np.empty(size), np.empty((size, size))
    factor, step, trial = np.empty((size, size)), np.empty(size), np.empty(size)
    held = np.zeros(size, np.bool_)

    if not _links(point, rules, nodes, orientations, delay_scale, theta, psi):
        return -np.inf, np.inf, 0, False
    value = evaluate(
        theta, psi, pair_sub, node_start, cross, overlap_start, overlap_sub, gram, active, gradient, hessian, amplitudes
    )
    if value == -np.inf:
        return -np.inf, np.inf, 0, False
    _chain(point, rules, nodes, delay_scale, gradient, hessian, jacobian, scratch, grad, hess)
    damping, decrement, converged, iteration = 0.0, np.inf, False, 0
    rounding = 1e-13 * energy
    while True:
        for i in range(2 * n_targets):
            low, high = area[i % 2, 0], area[i % 2, 1]
            held[i] = (point[i] <= low and grad[i] < 0.0) or (point[i] >= high and grad[i] > 0.0)
        noise = max((energy - value) / degrees, 0.0)
        if _newton_step(grad, hess, held, 0.0, factor, step):
            gain = 0.0
            for i in range(size):
                gain += grad[i] * step[i]
            decrement = np.sqrt(max(gain, 0.0) / max(noise, 1e-26 * energy))
            if decrement <= tolerance or gain <= 1e-26 * energy:
                converged = True
                break
        else:
            decrement = np.inf
        if iteration >= max_iterations:
            break
        iteration += 1
        accepted = False
        for _ in range(60):
            if not _newton_step(grad, hess, held, damping, factor, step):
                damping = max(4.0 * damping, 1e-3)
                continue
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
            new = -np.inf
            if _links(trial, rules, nodes, orientations, delay_scale, theta, psi):
                new = evaluate(
                    theta, psi, pair_sub, node_start, cross, overlap_start, overlap_sub, gram, active,
                    gradient, hessian, amplitudes,
                )  # fmt: skip
            rise = new - value
            if (rise > 0.0 and rise >= 1e-4 * predicted) or (abs(predicted) <= rounding and rise >= -rounding):
                if rise >= 0.5 * predicted:
                    damping = 0.0 if damping < 1e-4 else 0.1 * damping
                elif rise < 0.1 * predicted:
                    damping = max(2.0 * damping, 1e-3)
                accepted = True
                break
            damping = max(8.0 * damping, 1e-3)
        if not accepted:
            break
        value = new
        for i in range(size):
            point[i] = trial[i]
        _chain(point, rules, nodes, delay_scale, gradient, hessian, jacobian, scratch, grad, hess)
    if not converged:
        _links(point, rules, nodes, orientations, delay_scale, theta, psi)
        value = evaluate(
            theta,
            psi,
            pair_sub,
            node_start,
            cross,
            overlap_start,
            overlap_sub,
            gram,
            active,
            gradient,
            hessian,
            amplitudes,
        )
    return value, decrement, iteration, converged


@njit(cache=True, nogil=True)
def project_out(  # type: ignore[no-untyped-def]
    theta, psi, pair_sub, cross, overlap_start, overlap_sub, overlap_own, gram, active, residual, inverse, fgram
):
    """Take found targets out of the data: what :func:`evaluate_grid` needs to place one more target beside them.

    Parameters
    ----------
    theta, psi : (N, K') link variables of the found targets.
    overlap_own : (Q,) pair index of each overlap's own side (m, l).
    residual : (N, P, M_r, M_t) out, cross statistics minus the fit.
    inverse : (N, N K', N K') out, inverse Gram matrices, zero for silent nodes.
    fgram : (Q, K', M_t, 1) out, gram blocks contracted with steering and delay of (m', k').

    Returns
    -------
    False when the found signatures cannot be told apart.
    """
    n_nodes, n_found = theta.shape
    n_rx, n_tx = cross.shape[2], cross.shape[3]
    size = len(active) * n_found
    table = np.empty((n_nodes, n_found, 3, max(n_rx, n_tx)), np.complex128)
    factor = np.empty((size, size), np.complex128)
    column, b = np.empty(size, np.complex128), np.empty(size, np.complex128)
    _steering(theta, table)
    inverse[:] = 0.0
    residual[:] = cross
    for m in range(n_nodes):
        for m2 in range(n_nodes):
            for q in range(overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]):
                for k in range(n_found):
                    turn = np.exp(-1j * (overlap_sub[q] * psi[m2, k]))
                    for i in range(n_tx):
                        total = 0j
                        for i2 in range(n_tx):
                            total += table[m2, k, 0, i2] * gram[q, i2, i]
                        fgram[q, k, i, 0] = total * turn
    for n in range(n_nodes):
        for index in range(len(active)):
            m = active[index]
            for k in range(n_found):
                a = index * n_found + k
                b[a] = 0j
                for index2 in range(len(active)):
                    m2 = active[index2]
                    for k2 in range(n_found):
                        total = 0j
                        for q in range(overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]):
                            line = overlap_sub[q]
                            beam = 0j
                            for i in range(n_tx):
                                beam += fgram[q, k2, i, 0] * np.conj(table[m, k, 0, i])
                            total += beam * np.exp(1j * (line * (psi[n, k] + psi[m, k] - psi[n, k2])))
                        rho = 0j
                        for r in range(n_rx):
                            rho += np.conj(table[n, k, 0, r]) * table[n, k2, 0, r]
                        factor[a, index2 * n_found + k2] = rho * total
                for q in range(overlap_start[m * n_nodes + m], overlap_start[m * n_nodes + m + 1]):
                    p = overlap_own[q]
                    turn = np.exp(1j * (pair_sub[p] * (psi[n, k] + psi[m, k])))
                    for i in range(n_tx):
                        total = 0j
                        for r in range(n_rx):
                            total += np.conj(table[n, k, 0, r]) * cross[n, p, r, i]
                        b[a] += total * np.conj(table[m, k, 0, i]) * turn
        if not _cholesky(factor, size, SINGULAR):
            return False
        _forward(factor, size, b)
        _backward(factor, size, b)
        for a in range(size):
            column[:] = 0.0
            column[a] = 1.0
            _forward(factor, size, column)
            _backward(factor, size, column)
            for a2 in range(size):
                row = active[a2 // n_found] * n_found + a2 % n_found
                inverse[n, row, active[a // n_found] * n_found + a % n_found] = column[a2]
        for index in range(len(active)):
            m = active[index]
            for index2 in range(len(active)):
                m2 = active[index2]
                for q in range(overlap_start[m * n_nodes + m2], overlap_start[m * n_nodes + m2 + 1]):
                    out = residual[n, overlap_own[q]]
                    for k in range(n_found):
                        weight = b[index2 * n_found + k] * np.exp(-1j * (overlap_sub[q] * psi[n, k]))
                        for r in range(n_rx):
                            left = weight * table[n, k, 0, r]
                            for i in range(n_tx):
                                out[r, i] -= left * fgram[q, k, i, 0]
    return True
