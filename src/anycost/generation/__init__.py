"""Pictures, arrays, matrices and videos of one generator at any of its architectures."""
