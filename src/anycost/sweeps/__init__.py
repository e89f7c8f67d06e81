"""Sweeps: what a multirun folder records of its jobs, and how these are handed to SLURM or to local processes."""
