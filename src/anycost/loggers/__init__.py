"""Where logged values go: metrics.csv, Weights & Biases, TensorBoard. The x-axis is always the images seen."""
