"""Float network to integer network: bounds, rounding, ratio synchronization. numpy only."""
