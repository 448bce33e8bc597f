"""What is true: scenario, geometry, channels, OFDM streams and the received signals of Eq. (4) and (6)."""

if __name__ != "disac.simulator":
    raise ImportError(f"import this package as disac.simulator, not as {__name__}")

from disac.simulator.presets import Preset, preset, preset_names
from disac.simulator.random_models import RandomAmplitudes, RandomChannels
from disac.simulator.scenario import Scenario, ScenarioError

__all__ = ["Preset", "RandomAmplitudes", "RandomChannels", "Scenario", "ScenarioError", "preset", "preset_names"]
