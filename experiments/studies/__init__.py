"""Studies: one question each, from settings to verdict."""
