"""Launchers of multiruns."""
