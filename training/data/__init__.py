"""Training data: crops of annotated images, augmentation, rendered scenes, and checks of data sets."""
