"""Programs, documents, pictures of figures and pair files: what the filter itself does not need."""
