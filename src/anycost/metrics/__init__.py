"""Measurements of generators: protocols, the measures that follow them, their states and statistics."""
