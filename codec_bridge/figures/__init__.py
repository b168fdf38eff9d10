"""What is measured: quality and BD-rate."""
