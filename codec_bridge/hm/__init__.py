"""vrcnn-int in HM, the HEVC reference software: adapter sources, and the installer that puts them into a checkout."""
