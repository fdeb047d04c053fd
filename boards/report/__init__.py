"""The report of a profile: one HTML file, or a row of Markdown."""
