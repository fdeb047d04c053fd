"""Detection in a stream: the pipeline, its frame queue and its results."""
