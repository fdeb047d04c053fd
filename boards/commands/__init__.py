"""Subcommands: profile, compare, recommend and doctor."""
