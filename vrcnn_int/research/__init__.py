"""The papers' other methods and networks. Nothing but its own command group imports it."""
