"""Training data: rendered scenes, annotated photographs, augmentation."""
