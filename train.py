"""`python train.py stage=ada_ch data=ffhq`: the same as `anycost train stage=ada_ch data=ffhq`."""

import sys

from anycost.commands import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
