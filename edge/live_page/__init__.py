"""The live page: picture and numbers of a running detector in a browser."""
