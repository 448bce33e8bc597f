"""The same campaign on this runner and on HermesPy with its Ray engine: frames/s, start-up, equality over reruns.

Run as ``python benchmarks/hermes.py --hermes-python PATH``, PATH being the interpreter of an environment that has
hermespy; nothing else needs it. The work: 3 SNRs x 1,000 OFDM frames of 64 subcarriers and 16 symbols, QPSK over AWGN
in the time domain, hard decisions, bit errors of every frame counted. The sides take turns, each in a fresh process
that runs three campaigns: one frame a point to compile, load and warm up, one frame a point, and all frames. "start-up"
is what the process spends beside them, imports included; "one frame" a campaign of nothing but its overhead, workers
included; "frames alone" the rate with that overhead taken off.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
os.environ.update(RAY_worker_niceness="0")  # Ray's workers would give way to everything else, at niceness 15

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, median
from time import perf_counter
from typing import ClassVar

import numpy as np

from disac.experiments.experiment import Column
from disac.experiments.keys import Purpose
from disac.experiments.runner import run_campaign
from disac.experiments.runs import show
from disac.experiments.store import RunReader
from disac.simulator import demodulate, modulate, ofdm_demodulate, ofdm_modulate

SNR_DB = (0.0, 4.0, 8.0)
SUBCARRIERS, SYMBOLS = 64, 16


@dataclass(frozen=True)
class Frame:
    """One QPSK-OFDM frame over AWGN per trial."""

    name = "frame"
    columns: ClassVar = {"bit_errors": Column("1", "wrong bits of the frame"), "bits": Column("1", "bits of the frame")}

    def points(self):
        return [{"snr_db": snr} for snr in SNR_DB]

    def prepare(self, point):
        return np.sqrt(0.5 * 10 ** (-point["snr_db"] / 10))

    def run(self, scale, keys):
        n_bits = 2 * SUBCARRIERS * SYMBOLS
        bits = np.stack([key.generator(Purpose.BITS).integers(0, 2, n_bits, dtype=np.uint8) for key in keys])
        samples = ofdm_modulate(modulate(bits, 4).reshape(len(keys), SUBCARRIERS, SYMBOLS), 0)
        for key, frame in zip(keys, samples, strict=True):
            noise = key.generator(Purpose.USER_NOISE).standard_normal(2 * frame.size)
            frame += scale * noise.view(complex)
        received = np.ascontiguousarray(ofdm_demodulate(samples, SUBCARRIERS, 0)).reshape(len(keys), -1)
        wrong = np.count_nonzero(demodulate(received, 4) != bits, axis=1)
        return [{"bit_errors": int(errors), "bits": n_bits} for errors in wrong]


def ours(settings):
    """This runner's side, in the same form as ``hermes_side.py``."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for i, frames in enumerate((1, 1, settings["frames"])):
            path = Path(folder) / f"{i}.sqlite"
            begin = perf_counter()
            run_campaign(Frame(), path, seed=settings["seed"], trials=frames, workers=settings["workers"])
            seconds.append(perf_counter() - begin)
        with RunReader(path) as reader:
            digest = reader.digest()
        ber = [means["bit_errors"].mean / means["bits"].mean for _, means in show(path)]
    return {"seconds": seconds, "ber": ber, "digest": digest}


def measure(command, settings):
    """Run one side in a fresh process."""
    begin = perf_counter()
    done = subprocess.run([*command, json.dumps(settings)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {**found, "start_s": perf_counter() - begin - sum(found["seconds"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hermes-python", metavar="PATH", help="interpreter of an environment with hermespy")
    parser.add_argument("--frames", type=int, default=1000, help="frames per SNR")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes per side and number of workers")
    parser.add_argument("--side", metavar="JSON", help="run this runner's side alone")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(ours(json.loads(options.side))))
        return
    sides = {"disac": [sys.executable, __file__, "--side"]}
    if options.hermes_python:
        sides["HermesPy"] = [options.hermes_python, str(Path(__file__).with_name("hermes_side.py"))]
    settings = {"seed": 1, "frames": options.frames, "subcarriers": SUBCARRIERS, "symbols": SYMBOLS, "snr_db": SNR_DB}
    runs = {(side, workers): [] for workers in (1, 2) for side in sides}
    for _ in range(options.rounds):
        for side, workers in runs:
            runs[side, workers].append(measure(sides[side], {**settings, "workers": workers}))
            print(f"{side}, {workers}: {runs[side, workers][-1]['seconds']} s", file=sys.stderr, flush=True)
    report(runs, options.frames)


def report(runs, frames):
    """Print medians, ratios, equality of reruns and the error rates against theory."""
    total = frames * len(SNR_DB)
    rates = {}
    print("medians              start-up s   warm-up s   one frame s   all frames s    frames/s   frames/s alone")
    for (side, workers), samples in runs.items():
        warm, one, whole = (median(run["seconds"][i] for run in samples) for i in range(3))
        rates[side, workers] = total / whole, total / max(whole - one, 1e-9)
        print(
            f"{side:9s}{workers} worker{'s' if workers > 1 else ' '} {median(run['start_s'] for run in samples):12.2f} "
            f"{warm:11.2f} {one:13.2f} {whole:14.2f} {total / whole:11.0f} {rates[side, workers][1]:16.0f}"
        )
    for workers in (1, 2):
        if ("HermesPy", workers) in rates:
            whole, alone = (a / b for a, b in zip(rates["disac", workers], rates["HermesPy", workers], strict=True))
            print(f"ratio with {workers}: whole campaign {whole:.1f}, frames alone {alone:.1f}")
    for side in dict.fromkeys(side for side, _ in runs):
        for name, samples in (
            ("1 worker, reruns", runs[side, 1]),
            ("2 workers, reruns", runs[side, 2]),
            ("1 and 2 workers", runs[side, 1][:1] + runs[side, 2][:1]),
        ):
            distinct = len({repr((run["ber"], run.get("digest"))) for run in samples})
            print(f"{side}, same seed, {name}: {distinct} distinct results in {len(samples)}")
        versions = runs[side, 1][0].get("versions")
        if versions:
            print(", ".join(f"{name} {text}" for name, text in versions.items()))
    bits = 2 * SUBCARRIERS * SYMBOLS * frames
    for i, snr_db in enumerate(SNR_DB):
        theory = NormalDist().cdf(-(10 ** (snr_db / 20)))
        error = (theory * (1 - theory) / bits) ** 0.5
        found = ", ".join(
            f"{side} {runs[side, 1][0]['ber'][i]:.6f} ({(runs[side, 1][0]['ber'][i] - theory) / error:+.1f} sigma)"
            for side in dict.fromkeys(side for side, _ in runs)
        )
        print(f"BER at {snr_db:g} dB: theory {theory:.6f}, {found}")


if __name__ == "__main__":
    main()
