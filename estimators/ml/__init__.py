"""Maximum-likelihood localization."""
