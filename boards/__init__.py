"""What a board is and what a model costs there."""
