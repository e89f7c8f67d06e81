"""Images: sources, the embedded faces, the resolution pyramid and batches."""
