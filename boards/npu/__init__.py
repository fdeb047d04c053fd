"""Intel NPUs: whether models compile for them. Nothing here runs on one."""
