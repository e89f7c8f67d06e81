"""Elastic networks in plain PyTorch operators."""
