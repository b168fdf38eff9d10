"""Fuzzing of what reads bytes in Python: targets.py, run by `make fuzz-python`; tests/fuzz/test_fuzz.py replays what it has kept."""
