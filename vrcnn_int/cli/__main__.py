"""python -m vrcnn_int.cli"""

from vrcnn_int.cli.app import main

if __name__ == "__main__":
    main()
