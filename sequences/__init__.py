"""Catalogues of test sequences, read by codec_bridge.video.catalogue."""
