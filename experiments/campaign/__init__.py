"""Monte Carlo campaigns: batches, workers, retries, progress, resuming."""
