"""One page that holds a whole run."""
