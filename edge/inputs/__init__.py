"""Outside files and values: bounded, checked, and refused in one line. One module per kind; all raise `InputError`."""
