"""Small scenes for tests of designs, and plain twins of what a design is judged by."""

from disac.testing.designs import scene
from disac.testing.oracles import covariances_twin, sinr_twin

__all__ = ["covariances_twin", "scene", "sinr_twin"]
