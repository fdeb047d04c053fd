"""Training on a workstation: the E-FPN-BS network, its loss, data, training engine, recipes and bundled weights."""
