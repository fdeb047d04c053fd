"""The live page: images and numbers of a running detector in a browser."""
