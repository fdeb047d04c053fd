"""The subcommands a board has."""
