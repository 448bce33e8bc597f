"""From records to numbers with intervals."""
