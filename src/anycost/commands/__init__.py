"""The command line: `anycost VERB ...`. Verbs are imported when they are called, so that `--help` is quick."""

import errno
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from anycost.errors import UserError

VERBS = {
    "train": "train a generator, or continue its training: anycost train stage=ada_ch data=ffhq",
    "prepare": "pack pictures into one zip: anycost prepare source=photos output=photos.zip resolution=256",
    "search": "find the best sub-generator within a budget: anycost search weights=RUN budget=18G",
    "benchmark": "measure the speed of this machine: anycost benchmark training",
    "evaluate": "measure sub-generators or pictures: anycost evaluate weights=RUN metrics=fd5k_embedded",
    "generate": "pictures, arrays and videos: anycost generate weights=RUN seeds=0-15 output=people.png",
    "export": "a sub-generator for other programs: anycost export weights=RUN architecture=0.5@32 output=g.onnx",
    "convert": "others' checkpoints as weights of ours: anycost convert source=network.pkl output=g.safetensors",
    "info": "what a weights file holds, and what its architectures cost: anycost info weights=RUN",
    "push": "put weights on a Hugging Face hub: anycost push weights=RUN repo=OWNER/NAME",
    "pull": "get weights from there: anycost pull name=OWNER/NAME",
    "report": "tables and figures of what runs have measured: anycost report logs/train/runs/NAME",
    "sweep": "the jobs of a multirun: anycost sweep status logs/train/multiruns/NAME",
    "options": "print the options of the configuration: anycost options stage",
}

# Where not even a look at a path is possible: a folder of somebody else, a name too long, links in a circle.
_NO_LOOK = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0, 2 for what the user can mend, 130 when interrupted."""
    verb, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        return _run(verb, rest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `anycost options | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _NO_LOOK or error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}; name another file or folder", file=sys.stderr)
        return 2


def _run(verb: str, arguments: list[str]) -> int:
    if verb in ("-h", "--help"):
        print(_usage())
        return 0
    if verb not in VERBS:
        close = get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the verbs are {', '.join(VERBS)}"
        raise UserError(f"anycost {verb} does not exist; {hint}")
    return import_module(f"anycost.commands.{verb}").main(arguments) or 0


def _usage() -> str:
    verbs = "\n".join(f"  {verb:<11}{summary}" for verb, summary in VERBS.items())
    return f"usage: anycost VERB ...\n\n{verbs}\n\n`anycost VERB --help` says more about one of them."
