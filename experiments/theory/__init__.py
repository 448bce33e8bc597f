"""What theory says without a waveform: bit error rates, interval errors, Ziv-Zakai."""
