"""Workstation side: the E-FPN-BS network, its losses, data, the training engine, recipes and bundled weights."""
