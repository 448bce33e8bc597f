"""What is raised where something that is said to be true cannot be, and the size beyond which nothing is made."""

MAX_ENTRIES = 2**26
"""Largest number of entries of a scenario's amplitudes or channels (1 GiB of complex numbers)."""


class ScenarioError(ValueError):
    """A scenario field holds a wrong value; each line names the field, the value and what is allowed."""
