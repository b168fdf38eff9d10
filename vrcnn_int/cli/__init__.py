"""The command line vrcnn-int."""
