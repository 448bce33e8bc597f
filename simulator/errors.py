"""What is raised where something that is said to be true cannot be."""


class ScenarioError(ValueError):
    """A scenario field holds a wrong value; each line names the field, the value and what is allowed."""
