"""python -m codec_bridge.cli"""

from codec_bridge.cli.app import main

if __name__ == "__main__":
    main()
