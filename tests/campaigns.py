"""Small experiments for tests of the runner; worker processes import them from here."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from disac.experiments.trials.experiment import Column
from disac.experiments.trials.keys import Purpose


@dataclass(frozen=True)
class Noise:
    """Noisy position and bit errors with a column of every kind; the points are not part of the configuration."""

    snr_db: tuple[float, ...] = (0.0, 10.0)
    pause_s: float = 0.0
    bias: float = 0.0

    name = "noise"
    columns: ClassVar = {
        "dx": Column("m", "error in x"),
        "squared_error": Column("m^2"),
        "maybe": Column("1", required=False),
    }

    def points(self):
        return [{"snr_db": snr, "design": "p2"} for snr in self.snr_db]

    def config(self):
        return {"pause_s": self.pause_s, "bias": self.bias}

    @classmethod
    def from_config(cls, config, points):
        return cls(snr_db=tuple(point["snr_db"] for point in points), **config)

    def prepare(self, point):
        return 10 ** (-point["snr_db"] / 20)

    def run(self, scale, keys):
        return [self.one(scale, key) for key in keys]

    def one(self, scale, key):
        if self.pause_s:
            time.sleep(self.pause_s)
        dx, dy = self.bias + scale * key.generator(Purpose.SENSE_NOISE).standard_normal(2)
        errors = key.generator(Purpose.BITS).binomial(100, scale / 10)
        return {
            "dx": dx,
            "squared_error": dx**2 + dy**2,
            "z": complex(dx, dy),
            "hit": np.bool_(dx > 0),
            "bit_errors": errors,
            "bits": 100,
            "maybe": float("nan") if key.trial % 3 else -0.0,
            "tag": "x" * (key.trial % 3),
        }


@dataclass(frozen=True)
class Faulty(Noise):
    """`Noise` with trouble in given trials of every point; ``once`` names a folder that remembers first attempts."""

    raises: tuple[int, ...] = ()
    nan: tuple[int, ...] = ()
    invalid: tuple[int, ...] = ()
    kills: tuple[int, ...] = ()
    crashes: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    once: str = ""
    setup: str = ""

    name = "faulty"

    def config(self):
        return {}

    def prepare(self, point):
        if self.setup == "raises" and point["snr_db"] == self.snr_db[0]:
            raise ArithmeticError("no design meets this threshold")
        if self.setup == "kills" and point["snr_db"] == self.snr_db[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(point)

    def one(self, scale, key):
        record = super().one(scale, key)
        if key.trial in self.raises:
            raise ValueError(f"trial {key.trial} is not to be")
        if key.trial in self.nan:
            record["dx"] = float("nan")
        if key.trial in self.invalid:
            record["dx"] = [1.0]
        if key.trial in self.kills and self._first_time(key):
            os.kill(os.getpid(), signal.SIGKILL)
        if key.trial in self.crashes:
            import faulthandler

            faulthandler._sigsegv()
        if key.trial in self.hangs:
            time.sleep(3600)
        return record

    def _first_time(self, key):
        if not self.once:
            return True
        mark = Path(self.once) / f"{key.point}-{key.trial}"
        if mark.exists():
            return False
        mark.touch()
        return True


@dataclass(frozen=True)
class Environment:
    """Reports what a worker looks like from inside."""

    name = "environment"

    def points(self):
        return [{"x": 0}]

    def prepare(self, point):
        import scipy.linalg

        return scipy.linalg.eigvalsh(np.eye(3))

    def run(self, context, keys):
        import numba
        from threadpoolctl import threadpool_info

        open_files = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
        return [
            {
                "pid": os.getpid(),
                "threads": max(pool["num_threads"] for pool in threadpool_info()),
                "numba_threads": numba.get_num_threads(),
                "store_descriptors": sum("run.sqlite" in name for name in open_files),
            }
            for _ in keys
        ]


def digest(path):
    from disac.experiments.runs.store import RunReader

    with RunReader(path) as reader:
        reader.check()
        return reader.digest()
