"""HermesPy's side of ``hermes.py``: run by an interpreter that has hermespy, prints one line of JSON.

Two devices, an ideal channel, QPSK on every resource element, no prefix, no pilots, E_s/N_0 swept, bit errors counted.
Its engine looks for the end of a campaign every 4 s; here every 0.02 s, in its favour.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from time import perf_counter

from hermespy.channel import IdealChannel
from hermespy.core import ConsoleMode, dB
from hermespy.modem import (
    BitErrorEvaluator,
    ElementType,
    GridElement,
    GridResource,
    OFDMWaveform,
    PrefixType,
    SimplexLink,
    SymbolSection,
)
from hermespy.simulation import Simulation
from hermespy.simulation.modem import ESN0


def campaign(settings: dict) -> tuple[float, list[float]]:
    """Seconds, and the bit error rate at every SNR."""
    begin = perf_counter()
    simulation = Simulation(
        num_samples=settings["frames"],
        seed=settings["seed"],
        num_actors=settings["workers"],
        console_mode=ConsoleMode.SILENT,
        dump_results=False,
    )
    simulation._MonteCarlo__progress_log_interval = 0.02
    sender, receiver = (
        simulation.new_device(carrier_frequency=1e9, bandwidth=20e6, oversampling_factor=1) for _ in range(2)
    )
    simulation.set_channel(sender, receiver, IdealChannel())
    link = SimplexLink()
    link.waveform = OFDMWaveform(
        grid_resources=[
            GridResource(settings["subcarriers"], PrefixType.NONE, 0.0, [GridElement(ElementType.DATA, 1)])
        ],
        grid_structure=[SymbolSection(settings["symbols"], [0])],
        num_subcarriers=settings["subcarriers"],
        dc_suppression=False,
        modulation_order=4,
    )
    sender.transmitters.add(link)
    receiver.receivers.add(link)
    simulation.add_evaluator(BitErrorEvaluator(link, link))
    receiver.noise_level = ESN0(link, dB(settings["snr_db"][0]))
    simulation.new_dimension("noise_level", dB(*settings["snr_db"]), receiver)
    result = simulation.run().evaluation_results[0]
    return perf_counter() - begin, result.to_array().tolist()


if __name__ == "__main__":
    seconds, ber = campaign(json.loads(sys.argv[1]))
    versions = {name: version(name) for name in ("hermespy", "ray", "numpy")}
    print(json.dumps({"seconds": seconds, "ber": ber, "versions": versions}))
