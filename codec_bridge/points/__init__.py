"""RD points from anybody's files, and Bjøntegaard deltas of them."""
