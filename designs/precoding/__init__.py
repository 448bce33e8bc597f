"""From covariances to precoders, and what precoders do."""
