"""Measurements of generators: features, distances between distributions, consistency of architectures."""
