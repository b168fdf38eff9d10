"""HM, the HEVC reference software."""
