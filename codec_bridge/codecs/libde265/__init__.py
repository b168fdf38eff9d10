"""libde265, a decoder."""
