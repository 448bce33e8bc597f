"""The paper's Section V: scenarios, bounds, figures and claims."""
