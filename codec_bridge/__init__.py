"""codec_bridge: coded video in, filtered video and BD-rate out. Importing it imports neither torch nor a codec."""
