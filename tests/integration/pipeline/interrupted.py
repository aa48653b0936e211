"""`python interrupted.py MODULE arguments…`: runs a program that gets SIGTERM at the worst moment.

That is while its main thread, in a wait that the module's own code has asked for, holds the lock of the event.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from types import FrameType
from typing import Any

WAIT = threading.Event.wait.__code__


def main(module: str) -> None:
    own = module.replace(".", os.sep) + ".py"
    sent = False

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal sent
        if frame.f_code is not WAIT or sent:
            return None
        if event == "call":
            caller = frame.f_back
            return trace if caller and caller.f_code.co_filename.endswith(own) else None
        lock = frame.f_locals["self"]._cond
        if lock._is_owned() and callable(signal.getsignal(signal.SIGTERM)):
            sent = True
            sys.stderr.write("SIGTERM in the middle of a wait\n")
            os.kill(os.getpid(), signal.SIGTERM)
        return trace

    sys.settrace(trace)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    main(sys.argv[0])
