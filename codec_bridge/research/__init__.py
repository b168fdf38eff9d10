"""Evaluations of research networks. Nothing but its own command group imports it."""
