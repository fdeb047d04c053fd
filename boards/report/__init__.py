"""Reports of a profile: an HTML file, a Markdown table, and the text that terminal and HTML share."""
