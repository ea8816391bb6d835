"""Notes where each thread is started.

`Thread.start` stays what it is, for tracebacks, for programs that replace it and for those that inspect it. The first
thing that it does is to enter the thread in `threading._limbo`; that dictionary is replaced by one that looks at the
caller.
"""

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Optional

    Base = dict[threading.Thread, threading.Thread]
else:
    Base = dict


def _overrides_start(frame: "FrameType", thread: threading.Thread) -> bool:
    for kind in type(thread).__mro__:
        if getattr(kind.__dict__.get("start"), "__code__", None) is frame.f_code:
            return True
    return False


class _Limbo(Base):
    __slots__ = ()

    def __setitem__(self, thread: "Any", same: "Any") -> None:
        dict.__setitem__(self, thread, same)
        try:
            # Read as the first thread starts.
            from ._where import STARTED, is_known

            frame: "Optional[FrameType]" = sys._getframe(2)
            direct = frame
            while frame is not None and (not is_known(frame) or _overrides_start(frame, thread)):
                frame = frame.f_back
            frame = frame or direct
            if frame is not None:
                thread.__dict__[STARTED] = (frame.f_code, frame.f_lineno, threading.get_ident())
        except Exception:
            # The place is not known, then.
            pass


def note() -> None:
    """Begins to note them, unless `threading` is not the one we know."""
    limbo = getattr(threading, "_limbo", None)
    if type(limbo) is dict:
        with threading._active_limbo_lock:  # type: ignore[attr-defined]
            threading._limbo = _Limbo(limbo)  # type: ignore[attr-defined]
