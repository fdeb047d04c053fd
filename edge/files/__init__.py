"""Files and values from outside: read within bounds, checked, refused in one line; files are written atomically."""
