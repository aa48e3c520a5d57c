"""Weights fitted to a user's own cases: bank, decoder and denoiser, each kept if it is better."""
