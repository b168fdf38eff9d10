"""How fast the filter is, beside other ways to run the same network."""
