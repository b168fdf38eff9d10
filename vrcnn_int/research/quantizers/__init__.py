"""Ways to an integer network, side by side: each prepares a float network for training and gives its integer network.

brelu: bounded ReLU (Zhao et al. 2020), bounds by geometric progression or n-sigma. affine: ranges with zero points (Jacob et al. 2018).
tqt: trained power-of-two thresholds (Jain et al. 2019). fq_conv: learned ranges, gradual quantization (Verhoef et al. 2019).
"""
