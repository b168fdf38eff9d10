"""x265 with the filter in the loop."""
