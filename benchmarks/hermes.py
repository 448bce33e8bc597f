"""The same campaign on this runner and on HermesPy with its Ray engine: frames/s, start-up, equality over reruns.

Run as ``python benchmarks/hermes.py --hermes-python PATH``, PATH being the interpreter of an environment that has
hermespy; nothing else needs it. The work: 3 SNRs x 1,000 OFDM frames of 64 subcarriers and 16 symbols, QPSK over AWGN
in the time domain, hard decisions, bit errors of every frame counted. The sides take turns, each campaign in a fresh
process (an earlier campaign's actors would compete with a later one's), first of one frame a point, then of all frames.
"start-up" is what the process spends beside the campaign, imports included; "one frame" a campaign of nothing but its
overhead, workers and compiled code included; "frames alone" the rate with that overhead taken off. A process that has
not ended at the time limit is ended and counted.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
os.environ.update(RAY_worker_niceness="0")  # Ray's workers would give way to everything else, at niceness 15

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist, median
from time import perf_counter
from typing import ClassVar

import numpy as np

from disac.experiments.campaign.operations import show
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs.store import RunReader
from disac.experiments.trials.experiment import Column
from disac.experiments.trials.keys import Purpose
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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        begin = perf_counter()
        run_campaign(Frame(), path, seed=settings["seed"], trials=settings["frames"], workers=settings["workers"])
        seconds = perf_counter() - begin
        with RunReader(path) as reader:
            digest = reader.digest()
        ber = [means["bit_errors"].mean / means["bits"].mean for _, means in show(path)]
    versions = {name: version(name) for name in ("disac", "numpy")}
    return {"seconds": seconds, "ber": ber, "digest": digest, "versions": versions}


def measure(command, settings, limit_s):
    """What one campaign in a fresh process found, None if it did not end in time."""
    begin = perf_counter()
    with subprocess.Popen(
        [*command, json.dumps(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
            return None
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    found = json.loads(out.splitlines()[-1])
    return {**found, "start_s": perf_counter() - begin - found["seconds"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hermes-python", metavar="PATH", help="interpreter of an environment with hermespy")
    parser.add_argument("--frames", type=int, default=1000, help="frames per SNR")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side and number of workers")
    parser.add_argument("--limit", type=float, default=240, help="seconds that a process may take")
    parser.add_argument("--side", metavar="JSON", help="run this runner's side alone")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(ours(json.loads(options.side))))
        return
    sides = {"disac": [sys.executable, __file__, "--side"]}
    if options.hermes_python:
        sides["HermesPy"] = [options.hermes_python, str(Path(__file__).with_name("hermes_side.py"))]
    settings = {"seed": 1, "subcarriers": SUBCARRIERS, "symbols": SYMBOLS, "snr_db": SNR_DB}
    runs = {(side, workers): [] for workers in (1, 2) for side in sides}
    for _ in range(options.rounds):
        for side, workers in runs:
            pair = [
                measure(sides[side], {**settings, "workers": workers, "frames": frames}, options.limit)
                for frames in (1, options.frames)
            ]
            runs[side, workers].append(pair)
            print(side, workers, [run and round(run["seconds"], 2) for run in pair], file=sys.stderr, flush=True)
    report(runs, options.frames, options.limit)


def report(runs, frames, limit_s):
    """Print medians, ratios, equality of reruns and the error rates against theory."""
    total = frames * len(SNR_DB)
    rates, ended = {}, {}
    print("medians              start-up s   one frame s   all frames s    frames/s   frames/s alone   did not end")
    for (side, workers), pairs in runs.items():
        ones, alls = ([run for run in column if run is not None] for column in zip(*pairs, strict=True))
        ended[side, workers] = alls
        if not (ones and alls):
            print(f"{side:9s}{workers} worker(s): none ended in {limit_s:g} s")
            continue
        one, whole = (median(run["seconds"] for run in column) for column in (ones, alls))
        rates[side, workers] = total / whole, total / max(whole - one, 1e-9)
        print(
            f"{side:9s}{workers} worker{'s' if workers > 1 else ' '} {median(run['start_s'] for run in alls):12.2f} "
            f"{one:13.2f} {whole:14.2f} {total / whole:11.0f} {rates[side, workers][1]:16.0f} "
            f"{2 * len(pairs) - len(ones) - len(alls):9d} of {2 * len(pairs)}"
        )
    for workers in (1, 2):
        if {("disac", workers), ("HermesPy", workers)} <= rates.keys():
            whole, alone = (a / b for a, b in zip(rates["disac", workers], rates["HermesPy", workers], strict=True))
            print(f"ratio with {workers}: whole campaign {whole:.1f}, frames alone {alone:.1f}")
    bits = 2 * SUBCARRIERS * SYMBOLS * frames
    for side in dict.fromkeys(side for side, _ in runs):
        for name, samples in (
            ("1 worker, reruns", ended[side, 1]),
            ("2 workers, reruns", ended[side, 2]),
            ("1 and 2 workers", ended[side, 1][:1] + ended[side, 2][:1]),
        ):
            distinct = len({repr((run["ber"], run.get("digest"))) for run in samples})
            print(f"{side}, same seed, {name}: {distinct} distinct results in {len(samples)}")
        for run in (ended[side, 1] + ended[side, 2])[:1]:
            print(", ".join(f"{name} {text}" for name, text in run["versions"].items()))
            for snr_db, ber in zip(SNR_DB, run["ber"], strict=True):
                theory = NormalDist().cdf(-(10 ** (snr_db / 20)))
                sigma = (ber - theory) / (theory * (1 - theory) / bits) ** 0.5
                print(f"{side}, BER at {snr_db:g} dB: {ber:.6f}, theory {theory:.6f} ({sigma:+.1f} sigma)")


if __name__ == "__main__":
    main()
