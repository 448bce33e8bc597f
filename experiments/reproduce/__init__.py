"""``disac reproduce``: findings and gallery from stored studies."""
