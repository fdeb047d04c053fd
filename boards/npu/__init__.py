"""Intel NPUs: compiles models for them, without running them."""
