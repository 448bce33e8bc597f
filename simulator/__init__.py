"""What is true: scenario, geometry, channels, OFDM streams and the received signals of Eq. (4) and (6)."""

if __name__ != "disac.simulator":
    raise ImportError(f"import this package as disac.simulator, not as {__name__}")

from importlib import import_module
from typing import TYPE_CHECKING

from disac.simulator.allocation import SubcarrierAllocation
from disac.simulator.errors import ScenarioError
from disac.simulator.presets import Preset, preset, preset_names
from disac.simulator.random_models import RandomAmplitudes, RandomChannels
from disac.simulator.scenario import Scenario

if TYPE_CHECKING:
    from disac.simulator.ofdm import PrefixLoss, echo_samples, multipath, ofdm_demodulate, ofdm_modulate, prefix_loss
    from disac.simulator.qam import bits_per_symbol, constellation, demodulate, modulate
    from disac.simulator.snr import measured_snr
    from disac.simulator.streams import Streams, draw_streams, radar_alphabet, transmit
    from disac.simulator.synthesis import synthesize
    from disac.simulator.users import effective_channels, receive_users

__all__ = [
    "PrefixLoss",
    "Preset",
    "RandomAmplitudes",
    "RandomChannels",
    "Scenario",
    "ScenarioError",
    "Streams",
    "SubcarrierAllocation",
    "bits_per_symbol",
    "constellation",
    "demodulate",
    "draw_streams",
    "echo_samples",
    "effective_channels",
    "measured_snr",
    "modulate",
    "multipath",
    "ofdm_demodulate",
    "ofdm_modulate",
    "prefix_loss",
    "preset",
    "preset_names",
    "radar_alphabet",
    "receive_users",
    "synthesize",
    "transmit",
]

_SUBMODULE_OF = {
    "PrefixLoss": "ofdm",
    "Streams": "streams",
    "bits_per_symbol": "qam",
    "constellation": "qam",
    "demodulate": "qam",
    "draw_streams": "streams",
    "echo_samples": "ofdm",
    "effective_channels": "users",
    "measured_snr": "snr",
    "modulate": "qam",
    "multipath": "ofdm",
    "ofdm_demodulate": "ofdm",
    "ofdm_modulate": "ofdm",
    "prefix_loss": "ofdm",
    "radar_alphabet": "streams",
    "receive_users": "users",
    "synthesize": "synthesis",
    "transmit": "streams",
}
"""Names imported on first use, so that the package itself loads without the compiled kernels."""


def __getattr__(name: str) -> object:
    if name in _SUBMODULE_OF:
        return getattr(import_module(f"{__name__}.{_SUBMODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULE_OF])
