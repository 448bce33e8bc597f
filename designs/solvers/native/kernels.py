"""Compiled loops for the small blocks of P.2 and P.3, where a batch of matrix products costs less than calling it.

Every kernel states the array expression that it evaluates; ``tests/test_native_kernels.py`` evaluates both. All
helpers that a kernel calls are in this module, as the cache of compiled code asks for.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

LARGEST_SPAN = 4
"""Largest dimension rho of a sensing span that is left to these loops; BLAS is faster on larger ones."""
LARGEST_BLOCK = 16
"""Largest size of a block whose forms are left to these loops."""


@njit(cache=True, nogil=True)
def combine(
    weights: RealArray, rows: IndexArray, real: IndexArray, imag: IndexArray, of_sheet: IndexArray, stack: ComplexArray
) -> ComplexArray:
    """sum_i y_ic stack[a, n, i] with the local weights y of geometry rows and of links Re + j Im, (A, N, C, r, rho)."""
    n_sheets, n_nodes, n_local, n_rx, rho = stack.shape
    n_columns, n_geometry = weights.shape[1], len(rows)
    combined = np.zeros((n_sheets, n_nodes, n_columns, n_rx, rho), dtype=np.complex128)
    for a in range(n_sheets):
        for n in range(n_nodes):
            for i in range(n_local):
                for c in range(n_columns):
                    if i < n_geometry:
                        weight = complex(weights[rows[i], c], 0.0)
                    else:
                        link = i - n_geometry
                        weight = complex(weights[real[of_sheet[a], n, link], c], weights[imag[of_sheet[a], n, link], c])
                    for r in range(n_rx):
                        for q in range(rho):
                            combined[a, n, c, r, q] += weight * stack[a, n, i, r, q]
    return combined


@njit(cache=True, nogil=True)
def add_compressed(basis: ComplexArray, matrices: ComplexArray, of_sheet: IndexArray, grams: ComplexArray) -> None:
    """grams[a] += basis[a]^H (sum_b M[of_sheet[a], b]) basis[a] for Hermitian M."""
    n_sheets, size, rho = basis.shape
    total = np.empty((size, size), dtype=np.complex128)
    moved = np.empty((size, rho), dtype=np.complex128)
    for a in range(n_sheets):
        own = of_sheet[a]
        total[:] = 0.0
        for b in range(matrices.shape[1]):
            for i in range(size):
                for j in range(size):
                    total[i, j] += matrices[own, b, i, j]
        for i in range(size):
            for q in range(rho):
                entry = 0j
                for j in range(size):
                    entry += total[i, j] * basis[a, j, q]
                moved[i, q] = entry
        for p in range(rho):
            for q in range(rho):
                entry = 0j
                for i in range(size):
                    entry += basis[a, i, p].conjugate() * moved[i, q]
                grams[a, p, q] += entry


@njit(cache=True, nogil=True)
def information(
    stack: ComplexArray,
    grams: ComplexArray,
    rows: IndexArray,
    real: IndexArray,
    imag: IndexArray,
    of_sheet: IndexArray,
    n_parameters: int,
) -> RealArray:
    """F (P, P): sums of Re tr(G_i^H G_j grams[a]) over sheets and receive nodes; links count once by Re and Im."""
    n_sheets, n_nodes, n_local, n_rx, rho = stack.shape
    n_geometry = len(rows)
    fisher = np.zeros((n_parameters, n_parameters))
    products = np.zeros((real.shape[0], n_nodes, n_local, n_local), dtype=np.complex128)
    moved = np.empty((n_rx, rho), dtype=np.complex128)
    for a in range(n_sheets):
        for n in range(n_nodes):
            for j in range(n_local):
                for r in range(n_rx):
                    for q in range(rho):
                        entry = 0j
                        for p in range(rho):
                            entry += stack[a, n, j, r, p] * grams[a, p, q]
                        moved[r, q] = entry
                for i in range(j + 1):
                    entry = 0j
                    for r in range(n_rx):
                        for q in range(rho):
                            entry += stack[a, n, i, r, q].conjugate() * moved[r, q]
                    products[of_sheet[a], n, i, j] += entry
    for s in range(real.shape[0]):
        for n in range(n_nodes):
            for j in range(n_local):
                for i in range(j + 1):
                    entry = products[s, n, i, j]
                    if j < n_geometry:
                        _place(fisher, rows[i], rows[j], entry.real)
                        continue
                    by_real, by_imag = real[s, n, j - n_geometry], imag[s, n, j - n_geometry]
                    if i < n_geometry:
                        _place(fisher, rows[i], by_real, entry.real)
                        _place(fisher, rows[i], by_imag, -entry.imag)
                    else:
                        own_real, own_imag = real[s, n, i - n_geometry], imag[s, n, i - n_geometry]
                        _place(fisher, own_real, by_real, entry.real)
                        _place(fisher, own_imag, by_imag, entry.real)
                        if i < j:
                            _place(fisher, own_real, by_imag, -entry.imag)
                            _place(fisher, own_imag, by_real, entry.imag)
    return fisher


@njit(cache=True, nogil=True)
def _place(matrix: RealArray, row: int, column: int, value: float) -> None:
    """Add to an entry of a symmetric matrix and to its mirror image."""
    matrix[row, column] += value
    if row != column:
        matrix[column, row] += value


@njit(cache=True, nogil=True)
def sensed(basis: ComplexArray, sheets: IndexArray, curvature: ComplexArray, power: RealArray) -> ComplexArray:
    """basis[sheets[a]] curvature[a] basis[sheets[a]]^H - diag(power[a]), (a, d, d), for Hermitian curvature."""
    _, size, rho = basis.shape
    n_rows = len(sheets)
    result = np.empty((n_rows, size, size), dtype=np.complex128)
    moved = np.empty((size, rho), dtype=np.complex128)
    for a in range(n_rows):
        at = sheets[a]
        for i in range(size):
            for q in range(rho):
                entry = 0j
                for p in range(rho):
                    entry += basis[at, i, p] * curvature[a, p, q]
                moved[i, q] = entry
        for i in range(size):
            for j in range(i + 1):
                entry = 0j
                for q in range(rho):
                    entry += moved[i, q] * basis[at, j, q].conjugate()
                if i == j:
                    result[a, i, i] = entry.real - power[a, i]
                else:
                    result[a, i, j] = entry
                    result[a, j, i] = entry.conjugate()
    return result


@njit(cache=True, nogil=True)
def add_forms(
    matrices: ComplexArray, vectors: ComplexArray, weights: ComplexArray, leaf: IndexArray, prices: RealArray
) -> None:
    """M[a, b] += sum_i prices[leaf[a], i] V k_bi V^H with V = vectors[a, b], or vectors[a, 0] common to all members."""
    n_rows, n_members, size, _ = matrices.shape
    width = vectors.shape[3]
    inner = np.empty((width, width), dtype=np.complex128)
    moved = np.empty((size, width), dtype=np.complex128)
    for a in range(n_rows):
        for b in range(n_members):
            member = b if vectors.shape[1] > 1 else 0
            inner[:] = 0.0
            for i in range(weights.shape[1]):
                price = prices[leaf[a], i]
                for v in range(width):
                    for w in range(width):
                        inner[v, w] += price * weights[b, i, v, w]
            for i in range(size):
                for w in range(width):
                    entry = 0j
                    for v in range(width):
                        entry += vectors[a, member, i, v] * inner[v, w]
                    moved[i, w] = entry
            for i in range(size):
                for j in range(i + 1):
                    entry = 0j
                    for w in range(width):
                        entry += moved[i, w] * vectors[a, member, j, w].conjugate()
                    if i == j:
                        matrices[a, b, i, i] += entry.real
                    else:
                        matrices[a, b, i, j] += entry
                        matrices[a, b, j, i] += entry.conjugate()


@njit(cache=True, nogil=True)
def add_form_values(
    values: RealArray, vectors: ComplexArray, weights: ComplexArray, leaf: IndexArray, matrices: ComplexArray
) -> None:
    """values[leaf[a], i] += sum_b tr(V k_bi V^H M[a, b]) for Hermitian M, vectors as in :func:`add_forms`."""
    n_rows, n_members, size, _ = matrices.shape
    width = vectors.shape[3]
    moved = np.empty((size, width), dtype=np.complex128)
    seen = np.empty((width, width), dtype=np.complex128)
    for a in range(n_rows):
        for b in range(n_members):
            member = b if vectors.shape[1] > 1 else 0
            for i in range(size):
                for w in range(width):
                    entry = 0j
                    for j in range(size):
                        entry += matrices[a, b, i, j] * vectors[a, member, j, w]
                    moved[i, w] = entry
            for v in range(width):
                for w in range(width):
                    entry = 0j
                    for i in range(size):
                        entry += vectors[a, member, i, v].conjugate() * moved[i, w]
                    seen[v, w] = entry
            for i in range(weights.shape[1]):
                value = 0.0
                for v in range(width):
                    for w in range(width):
                        value += (weights[b, i, v, w] * seen[w, v]).real
                values[leaf[a], i] += value


@njit(cache=True, nogil=True)
def directions(stack: ComplexArray, combined: ComplexArray, n_geometry: int) -> ComplexArray:
    """Derivatives of Q = sum G(y_c)^H G(y_c) by the entries of Y that each sheet knows, (A, n_y, rho, rho).

    By a geometry row G_i^H G(y_c) + h.c. summed over receive nodes; by Re b the same at one node, by Im b the same with
    -j. Columns are ordered geometry (i, c), Re b (n, a, c), Im b (n, a, c).
    """
    n_sheets, n_nodes, n_local, n_rx, rho = stack.shape
    n_columns = combined.shape[2]
    n_links = n_local - n_geometry
    imag = n_nodes * n_links * n_columns
    result = np.zeros((n_sheets, n_geometry * n_columns + 2 * imag, rho, rho), dtype=np.complex128)
    for a in range(n_sheets):
        for n in range(n_nodes):
            for i in range(n_local):
                for c in range(n_columns):
                    at = i * n_columns + c
                    if i >= n_geometry:
                        at = (n_geometry + n * n_links + i - n_geometry) * n_columns + c
                    for p in range(rho):
                        for q in range(rho):
                            entry = 0j
                            for r in range(n_rx):
                                entry += stack[a, n, i, r, p].conjugate() * combined[a, n, c, r, q]
                            result[a, at, p, q] += entry
                            result[a, at, q, p] += entry.conjugate()
                            if i >= n_geometry:
                                result[a, at + imag, p, q] += complex(entry.imag, -entry.real)
                                result[a, at + imag, q, p] += complex(entry.imag, entry.real)
    return result


@njit(cache=True, nogil=True)
def triangularize(matrix: ComplexArray, factor: ComplexArray) -> None:
    """In place Gram-Schmidt, twice: orthonormal columns U in ``matrix`` and upper triangular K in ``factor``, M = U K.

    Columns that depend on earlier ones become zero.
    """
    size, rho = matrix.shape
    factor[:] = 0.0
    for q in range(rho):
        for _ in range(2):
            for p in range(q):
                entry = 0j
                for i in range(size):
                    entry += matrix[i, p].conjugate() * matrix[i, q]
                factor[p, q] += entry
                for i in range(size):
                    matrix[i, q] -= entry * matrix[i, p]
        norm = 0.0
        for i in range(size):
            norm += matrix[i, q].real ** 2 + matrix[i, q].imag ** 2
        norm = np.sqrt(norm)
        factor[q, q] = norm
        for i in range(size):
            matrix[i, q] = matrix[i, q] / norm if norm > 0 else 0j


@njit(cache=True, nogil=True)
def _congruent_svec(left: ComplexArray, matrix: ComplexArray, moved: ComplexArray, out: RealArray) -> None:
    """svec(L M L^H) for Hermitian M, with room for L M."""
    rows, inner = left.shape
    for i in range(rows):
        for q in range(inner):
            entry = 0j
            for p in range(inner):
                entry += left[i, p] * matrix[p, q]
            moved[i, q] = entry
    above = rows * (rows - 1) // 2
    root = np.sqrt(2.0)
    at = rows
    for i in range(rows):
        for j in range(i, rows):
            entry = 0j
            for q in range(inner):
                entry += moved[i, q] * left[j, q].conjugate()
            if i == j:
                out[i] = entry.real
            else:
                out[at] = root * entry.real
                out[at + above] = root * entry.imag
                at += 1


@njit(cache=True, nogil=True)
def add_sensing(
    head: RealArray,
    border: RealArray,
    scaling: ComplexArray,
    basis: ComplexArray,
    slopes: ComplexArray,
    of_slope: IndexArray,
    y_index: IndexArray,
    p_index: IndexArray,
    of_sheet: IndexArray,
    vectors: ComplexArray,
    weights: ComplexArray,
    leaf: IndexArray,
) -> None:
    """Add G^T (W x W) G of the blocks with scaling T[a, b] to the head and to the border of the leaves.

    In scaled coordinates the columns of G are T^H D T for a derivative D = basis slopes[of_slope[a]] basis^H of Q by an
    entry of Y, -T^H e_i e_i^H T for an antenna, and T^H V k_bi V^H T for the price of a leaf.
    """
    n_sheets, n_members, size, _ = scaling.shape
    rho, n_y, width, n_prices = basis.shape[2], slopes.shape[1], vectors.shape[3], weights.shape[1]
    scaled = np.empty((size, rho), dtype=np.complex128)
    root = np.empty((rho, rho), dtype=np.complex128)
    moved = np.empty((rho, max(rho, width)), dtype=np.complex128)
    reduced = np.empty((rho, size), dtype=np.complex128)
    metric = np.empty((size, size), dtype=np.complex128)
    seen = np.empty((rho, width), dtype=np.complex128)
    at_antennas = np.empty((size, width), dtype=np.complex128)
    columns = np.empty((n_y, rho * rho))
    antennas = np.empty((size, rho * rho))
    form = np.empty(rho * rho)
    one = np.ones((1, 1), dtype=np.complex128)
    for a in range(n_sheets):
        y, p = y_index[of_sheet[a]], p_index[of_sheet[a]]
        for b in range(n_members):
            t = scaling[a, b]
            for i in range(size):
                for q in range(rho):
                    entry = 0j
                    for j in range(size):
                        entry += t[j, i].conjugate() * basis[a, j, q]
                    scaled[i, q] = entry
                for j in range(size):
                    entry = 0j
                    for k in range(size):
                        entry += t[i, k] * t[j, k].conjugate()
                    metric[i, j] = entry
            triangularize(scaled, root)
            for q in range(rho):
                for j in range(size):
                    entry = 0j
                    for i in range(size):
                        entry += scaled[i, q].conjugate() * t[j, i].conjugate()
                    reduced[q, j] = entry
            for k in range(n_y):
                _congruent_svec(root, slopes[of_slope[a], k], moved, columns[k])
            for j in range(size):
                _congruent_svec(reduced[:, j : j + 1], one, moved, antennas[j])
            for i in range(n_y):
                for j in range(i + 1):
                    value = 0.0
                    for q in range(rho * rho):
                        value += columns[i, q] * columns[j, q]
                    head[y[i], y[j]] += value
                    if i != j:
                        head[y[j], y[i]] += value
                for j in range(size):
                    value = 0.0
                    for q in range(rho * rho):
                        value += columns[i, q] * antennas[j, q]
                    head[y[i], p[j]] -= value
                    head[p[j], y[i]] -= value
            for i in range(size):
                for j in range(size):
                    head[p[i], p[j]] += metric[i, j].real ** 2 + metric[i, j].imag ** 2
            if n_prices == 0:
                continue
            member = b if vectors.shape[1] > 1 else 0
            for w in range(width):
                for q in range(rho):
                    entry = 0j
                    for j in range(size):
                        entry += reduced[q, j] * vectors[a, member, j, w]
                    seen[q, w] = entry
                for i in range(size):
                    entry = 0j
                    for j in range(size):
                        entry += metric[i, j] * vectors[a, member, j, w]
                    at_antennas[i, w] = entry
            for k in range(n_prices):
                own = border[leaf[a], k]
                _congruent_svec(seen, weights[b, k], moved, form)
                for i in range(n_y):
                    value = 0.0
                    for q in range(rho * rho):
                        value += columns[i, q] * form[q]
                    own[y[i]] += value
                for i in range(size):
                    value = 0.0
                    for v in range(width):
                        for w in range(width):
                            value += (at_antennas[i, v] * weights[b, k, v, w] * at_antennas[i, w].conjugate()).real
                    own[p[i]] -= value


@njit(cache=True, nogil=True)
def add_power(power: RealArray, matrices: ComplexArray, antennas: IndexArray) -> None:
    """power[antennas[a, i]] += sum_b M[a, b, i, i]."""
    n_rows, n_members, size, _ = matrices.shape
    for a in range(n_rows):
        for b in range(n_members):
            for i in range(size):
                power[antennas[a, i]] += matrices[a, b, i, i].real


@njit(cache=True, nogil=True)
def congruence(left: ComplexArray, matrices: ComplexArray) -> ComplexArray:
    """L M L^H for Hermitian M, (B, d, d)."""
    n_blocks, size, _ = matrices.shape
    result = np.empty((n_blocks, size, size), dtype=np.complex128)
    moved = np.empty((size, size), dtype=np.complex128)
    for a in range(n_blocks):
        for i in range(size):
            for j in range(size):
                moved[i, j] = 0j
            for k in range(size):
                entry = left[a, i, k]
                for j in range(size):
                    moved[i, j] += entry * matrices[a, k, j]
        for i in range(size):
            for j in range(i + 1):
                entry = 0j
                for k in range(size):
                    entry += moved[i, k] * left[a, j, k].conjugate()
                result[a, i, j] = entry
                result[a, j, i] = entry.conjugate()
            result[a, i, i] = complex(result[a, i, i].real, 0.0)
    return result


@njit(cache=True, nogil=True)
def adjoint_congruence(left: ComplexArray, matrices: ComplexArray) -> ComplexArray:
    """L^H M L for Hermitian M, (B, d, d)."""
    n_blocks, size, _ = matrices.shape
    result = np.empty((n_blocks, size, size), dtype=np.complex128)
    moved = np.empty((size, size), dtype=np.complex128)
    for a in range(n_blocks):
        for i in range(size):
            for j in range(size):
                moved[i, j] = 0j
            for k in range(size):
                entry = matrices[a, i, k]
                for j in range(size):
                    moved[i, j] += entry * left[a, k, j]
        for i in range(size):
            for j in range(i + 1):
                result[a, i, j] = 0j
            for k in range(size):
                entry = left[a, k, i].conjugate()
                for j in range(i + 1):
                    result[a, i, j] += entry * moved[k, j]
            for j in range(i):
                result[a, j, i] = result[a, i, j].conjugate()
            result[a, i, i] = complex(result[a, i, i].real, 0.0)
    return result


@njit(cache=True, nogil=True)
def _is_positive(matrix: ComplexArray, length: float, factor: ComplexArray) -> bool:
    """Whether I + length M has a Cholesky factor."""
    size = matrix.shape[0]
    for j in range(size):
        pivot = 1.0 + length * matrix[j, j].real
        for k in range(j):
            pivot -= factor[j, k].real ** 2 + factor[j, k].imag ** 2
        if not pivot > 0:
            return False
        root = np.sqrt(pivot)
        for i in range(j + 1, size):
            entry = length * matrix[i, j]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k].conjugate()
            factor[i, j] = entry / root
    return True


@njit(cache=True, nogil=True)
def step_limit(spectrum: RealArray, steps: ComplexArray, most: float, precision: float) -> float:
    """Largest t <= ``most`` with diag(spectrum[a]) + t steps[a] > 0 for all a, from below to a relative ``precision``.

    t is found by bisection between 1 / |M| and 1 / max(-M_ii) with M = D^-1/2 step D^-1/2; a block that allows the
    length that the blocks before it allow costs one Cholesky factorization.
    """
    n_blocks, size = spectrum.shape
    relative = np.empty((size, size), dtype=np.complex128)
    factor = np.empty((size, size), dtype=np.complex128)
    for a in range(n_blocks):
        norm, upper = 0.0, most
        for i in range(size):
            for j in range(i + 1):
                entry = steps[a, i, j] / np.sqrt(spectrum[a, i] * spectrum[a, j])
                relative[i, j] = entry
                norm += (1 if i == j else 2) * (entry.real**2 + entry.imag**2)
            if -relative[i, i].real * upper > 1:
                upper = -1 / relative[i, i].real
        if not np.isfinite(norm):
            return 0.0
        if _is_positive(relative, most, factor):
            continue
        lower = min(upper, 1 / np.sqrt(norm))
        while upper > lower * (1 + precision):
            middle = np.sqrt(lower * upper)
            if _is_positive(relative, middle, factor):
                lower = middle
            else:
                upper = middle
        most = lower
    return most


@njit(cache=True, nogil=True)
def squared_overlap(primal: ComplexArray, dual: ComplexArray) -> float:
    """Sum of |S^H R|^2 over factors R, S (B, d, d): the traces of the products of what they are factors of."""
    n_blocks, size, _ = primal.shape
    row = np.empty(size, dtype=np.complex128)
    total = 0.0
    for a in range(n_blocks):
        for i in range(size):
            row[:] = 0j
            for k in range(size):
                entry = dual[a, k, i].conjugate()
                for j in range(size):
                    row[j] += entry * primal[a, k, j]
            for j in range(size):
                total += row[j].real ** 2 + row[j].imag ** 2
    return total


@njit(cache=True, nogil=True)
def add_leaves(
    leaves: RealArray, scaling: ComplexArray, vectors: ComplexArray, weights: ComplexArray, leaf: IndexArray
) -> None:
    """leaves[leaf[a]] += Gram matrix of the forms T^H V k_bi V^H T, with vectors as in :func:`add_forms`.

    With T^H V = U K and U orthonormal the forms are U K k_i K^H U^H, of which K k_i K^H is all that matters.
    """
    n_rows, n_members, size, _ = scaling.shape
    width, n_prices = vectors.shape[3], weights.shape[1]
    scaled = np.empty((size, width), dtype=np.complex128)
    root = np.empty((width, width), dtype=np.complex128)
    moved = np.empty((width, width), dtype=np.complex128)
    forms = np.empty((n_prices, width * width))
    for a in range(n_rows):
        for b in range(n_members):
            member = b if vectors.shape[1] > 1 else 0
            for i in range(size):
                for w in range(width):
                    entry = 0j
                    for j in range(size):
                        entry += scaling[a, b, j, i].conjugate() * vectors[a, member, j, w]
                    scaled[i, w] = entry
            triangularize(scaled, root)
            for i in range(n_prices):
                _congruent_svec(root, weights[b, i], moved, forms[i])
            for i in range(n_prices):
                for j in range(n_prices):
                    value = 0.0
                    for q in range(width * width):
                        value += forms[i, q] * forms[j, q]
                    leaves[leaf[a], i, j] += value


@njit(cache=True, nogil=True)
def eliminate_kept(
    rows: RealArray, coupling: RealArray, own: IndexArray, head: RealArray, floor: float
) -> tuple[RealArray, RealArray]:
    """Factor L of I + rows^T rows and X = L^-1 coupling; adds X^T X to the rows and columns ``own`` of the head.

    Pivots are kept above ``floor`` times their diagonal entry.
    """
    size, width = coupling.shape
    factor = np.eye(size)
    for k in range(rows.shape[0]):
        for i in range(size):
            value = rows[k, i]
            for j in range(i + 1):
                factor[i, j] += value * rows[k, j]
    reduced = coupling.copy()
    for j in range(size):
        pivot = factor[j, j]
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k]
        root = np.sqrt(max(pivot, floor * factor[j, j]))
        factor[j, j] = root
        for i in range(j + 1, size):
            value = factor[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            factor[i, j] = value / root
            factor[j, i] = 0.0
    for i in range(size):
        for k in range(i):
            value = factor[i, k]
            for j in range(width):
                reduced[i, j] -= value * reduced[k, j]
        for j in range(width):
            reduced[i, j] /= factor[i, i]
    gram = np.zeros((width, width))
    for k in range(size):
        for i in range(width):
            value = reduced[k, i]
            for j in range(width):
                gram[i, j] += value * reduced[k, j]
    for i in range(width):
        for j in range(width):
            head[own[i], own[j]] += gram[i, j]
    return factor, reduced


@njit(cache=True, nogil=True)
def forward(factor: RealArray, right: RealArray) -> RealArray:
    """L^-1 b."""
    solution = right.copy()
    for i in range(len(right)):
        for k in range(i):
            solution[i] -= factor[i, k] * solution[k]
        solution[i] /= factor[i, i]
    return solution


@njit(cache=True, nogil=True)
def backward(factor: RealArray, right: RealArray) -> RealArray:
    """L^-T b."""
    solution = right.copy()
    for i in range(len(right) - 1, -1, -1):
        solution[i] /= factor[i, i]
        for k in range(i):
            solution[k] -= factor[i, k] * solution[i]
    return solution


@njit(cache=True, nogil=True)
def complementarity(spectrum: RealArray, target: float, primal: ComplexArray, dual: ComplexArray) -> ComplexArray:
    """Solution X of sym(D X) = target I - D^2 - sym(primal dual) with D = diag(spectrum), for Hermitian steps.

    No steps, given as arrays without blocks, stand for zero.
    """
    n_blocks, size = spectrum.shape
    result = np.empty((n_blocks, size, size), dtype=np.complex128)
    for a in range(n_blocks):
        for i in range(size):
            for j in range(i + 1):
                entry = 0j
                if len(primal):
                    for k in range(size):
                        entry -= primal[a, i, k] * dual[a, k, j] + dual[a, i, k] * primal[a, k, j]
                if i == j:
                    right = entry.real + 2 * (target - spectrum[a, i] ** 2)
                    result[a, i, i] = complex(right / (2 * spectrum[a, i]), 0.0)
                else:
                    entry /= spectrum[a, i] + spectrum[a, j]
                    result[a, i, j] = entry
                    result[a, j, i] = entry.conjugate()
    return result


@njit(cache=True, nogil=True)
def moved_factors(left: ComplexArray, spectrum: RealArray, step: ComplexArray, length: float) -> ComplexArray:
    """L times the Cholesky factor of diag(spectrum) + length step; without blocks if there is no such factor."""
    n_blocks, size = spectrum.shape
    result = np.zeros((n_blocks, size, size), dtype=np.complex128)
    factor = np.empty((size, size), dtype=np.complex128)
    for a in range(n_blocks):
        for j in range(size):
            pivot = spectrum[a, j] + length * step[a, j, j].real
            for k in range(j):
                pivot -= factor[j, k].real ** 2 + factor[j, k].imag ** 2
            if not pivot > 0:
                return np.zeros((0, size, size), dtype=np.complex128)
            root = np.sqrt(pivot)
            factor[j, j] = complex(root, 0.0)
            for i in range(j + 1, size):
                entry = length * step[a, i, j]
                for k in range(j):
                    entry -= factor[i, k] * factor[j, k].conjugate()
                factor[i, j] = entry / root
        for i in range(size):
            for k in range(size):
                entry = left[a, i, k]
                for j in range(k + 1):
                    result[a, i, j] += entry * factor[k, j]
    return result
