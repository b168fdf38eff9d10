"""The command line codec-bridge."""
