"""Results shown: documents, pages, tables."""
