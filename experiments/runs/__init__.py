"""Stored runs: one crash-safe file with its folder, provenance and exports."""
