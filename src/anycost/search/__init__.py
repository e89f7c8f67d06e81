"""Search for the best sub-generator within a budget [Anycost, Sec. 3.3]."""
