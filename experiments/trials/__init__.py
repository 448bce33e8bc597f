"""What one trial is: its key of randomness, the experiment's protocol, and when there are enough."""
