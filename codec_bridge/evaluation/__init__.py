"""Evaluations: what is coded and measured, job by job."""
