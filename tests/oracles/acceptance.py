"""What a test by chance accepts: exact binomial counts, and the level of one interval among several."""


def binomial_acceptance(trials: int, probability: float, false_alarm: float) -> tuple[int, int]:
    """Counts (lowest, highest) that a test of "``probability`` is right" accepts, false alarm at most ``false_alarm``.

    Each tail holds at most half of ``false_alarm``, by exact binomial quantiles.
    """
    from scipy.stats import binom

    lowest, highest = binom.ppf(false_alarm / 2, trials, probability), binom.isf(false_alarm / 2, trials, probability)
    return int(lowest), int(highest)


def family_wise_level(level: float, n_intervals: int) -> float:
    """Level of each of ``n_intervals`` so that all hold at once at ``level`` (Bonferroni, any dependence)."""
    return 1 - (1 - level) / n_intervals
