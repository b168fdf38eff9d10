"""Pictures, files of pictures, catalogues of sequences."""
