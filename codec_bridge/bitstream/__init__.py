"""The syntax of HEVC streams, and of the side information in them."""
