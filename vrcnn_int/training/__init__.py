"""Networks are trained here: everything that needs torch."""
