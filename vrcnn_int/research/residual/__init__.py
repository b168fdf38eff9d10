"""Residual networks: batch normalization merged, additions synchronized."""
