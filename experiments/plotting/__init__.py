"""Pictures made to be read in a paper."""
