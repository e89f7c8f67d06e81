"""What happens beside the training; one idea a file. They are called in the order of `anycost.training`."""
