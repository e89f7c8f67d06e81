"""What an architecture costs: multiply-adds in two conventions, parameters, latency."""
