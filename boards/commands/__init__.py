"""The subcommands that measure."""
