"""A QAM link in bits per second (bits, modulation, AWGN, hard decisions, error count) against a decision alone.

Run as ``python benchmarks/qam_link.py``. The numpy decision gets its noisy symbols for nothing and finds the nearest
point as the smallest |y - c|, or faster as the largest Re(y c*) - |c|^2 / 2 by a matrix product; ratios are given to
both. Two workers run the link in a process each, started together. No link is faster than drawing its noise.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

from multiprocessing import get_context
from time import perf_counter

import numpy as np

from disac.simulator import bits_per_symbol, constellation, demodulate, modulate

N_SYMBOLS = 8192
"""Symbols handled at once."""
SECONDS, ROUNDS = 0.4, 5
"""Length of one turn, and how many turns each case has."""
SNR_DB = {4: 7.0, 16: 14.0, 64: 20.0, 256: 26.0}
"""Es/N0 at which each order makes errors, so that the count is exercised."""


def generator(*seed: int) -> np.random.Generator:
    """numpy's fastest generator of normals."""
    return np.random.Generator(np.random.SFC64(seed))


def link(order: int, rng: np.random.Generator) -> int:
    """Send N_SYMBOLS symbols and return the number of bit errors."""
    n_bits = N_SYMBOLS * bits_per_symbol(order)
    bits = np.unpackbits(np.frombuffer(rng.bytes(n_bits // 8), dtype=np.uint8))
    received = rng.standard_normal(2 * N_SYMBOLS)
    received *= np.sqrt(10 ** (-SNR_DB[order] / 10) / 2)
    received = received.view(complex)
    received += modulate(bits, order)
    return int(np.count_nonzero(demodulate(received, order) != bits))


def nearest(received, points):
    """Labels of the nearest points, by their distances."""
    return np.argmin(np.abs(received[:, None] - points), axis=1)


def nearest_by_product(received, points):
    """Labels of the nearest points, by a matrix product."""
    weights = np.stack([points.real, points.imag])
    scores = received.view(float).reshape(-1, 2) @ weights
    scores -= np.abs(points) ** 2 / 2
    return np.argmax(scores, axis=1)


def turn(call) -> float:
    """Calls per second over about SECONDS."""
    call()
    calls, start = 0, perf_counter()
    while perf_counter() - start < SECONDS:
        call()
        calls += 1
    return calls / (perf_counter() - start)


def start_together(barrier) -> None:
    """Warm each worker up and let none begin before the others are ready."""
    global _barrier
    _barrier = barrier
    for order in SNR_DB:
        link(order, generator(0))


def worker(order: int, seed: int) -> tuple[float, float]:
    """Bits per second and errors per call of one worker."""
    rng = generator(order, seed)
    errors = []
    _barrier.wait()
    return turn(lambda: errors.append(link(order, rng))) * N_SYMBOLS * bits_per_symbol(order), sum(errors) / len(errors)


def main() -> None:
    context = get_context("spawn")
    n_workers = 2
    barrier = context.Barrier(n_workers)
    with context.Pool(n_workers, initializer=start_together, initargs=(barrier,)) as pool:
        print("Mbit/s, and ratios to the decision by distance / by product")
        print(
            "order  Es/N0 dB       BER | distance  product  noise alone | "
            "link, 1 worker      ratio | 2 workers      ratio"
        )
        for order, snr_db in SNR_DB.items():
            rng = generator(order)
            n_bits = N_SYMBOLS * bits_per_symbol(order)
            points = constellation(order)
            buffer = rng.standard_normal((N_SYMBOLS, 2))
            received = points[rng.integers(0, order, N_SYMBOLS)]
            received = received + buffer @ [1, 1j] * np.sqrt(10 ** (-snr_db / 10) / 2)
            labels = nearest(received, points)
            assert np.array_equal(labels, nearest_by_product(received, points))
            bits = np.unpackbits(labels.astype(np.uint8)[:, None], axis=1)[:, 8 - bits_per_symbol(order) :]
            assert np.array_equal(bits.reshape(-1), demodulate(received, order))

            cases = {
                "distance": lambda: nearest(received, points),  # noqa: B023
                "product": lambda: nearest_by_product(received, points),  # noqa: B023
                "noise": lambda: rng.standard_normal(out=buffer),  # noqa: B023
                "link": lambda: link(order, rng),  # noqa: B023
            }
            rates = {name: [] for name in cases}
            for _ in range(ROUNDS):
                for name, case in cases.items():
                    rates[name].append(n_bits * turn(case))
            runs = [pool.starmap(worker, [(order, 2 * i), (order, 2 * i + 1)], chunksize=1) for i in range(ROUNDS)]
            error_rate = np.mean([errors / n_bits for run in runs for _, errors in run])
            distance, product, noise, one = (np.median(rates[name]) / 1e6 for name in cases)
            two = np.median([sum(rate for rate, _ in run) for run in runs]) / 1e6
            print(
                f"{order:5d} {snr_db:9.1f} {error_rate:9.1e} | {distance:8.1f} {product:8.1f} {noise:12.1f} | "
                f"{one:14.1f} {one / distance:5.1f}/{one / product:4.1f} | "
                f"{two:9.1f} {two / distance:5.1f}/{two / product:4.1f}"
            )


if __name__ == "__main__":
    main()
