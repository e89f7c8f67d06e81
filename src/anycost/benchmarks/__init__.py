"""Measurements of anycost's own speed, and the plain definitions that they compare with."""
