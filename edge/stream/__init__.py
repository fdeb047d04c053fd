"""Detection in a stream: the pipeline, its queues and its results."""
