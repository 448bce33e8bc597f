"""Fisher information and Cramer-Rao bounds."""
