"""Solvers of the convex problems behind one interface."""
