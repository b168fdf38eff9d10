"""The C library and libvrcnn_cuda from Python."""
