"""Proof: compile, load, and what the verifier says."""
