"""The convex problems P.1 to P.4: their values, feasibility and certificates."""
