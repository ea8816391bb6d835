"""`threading`, loaded only once the program uses it.

CPython calls `threading._shutdown` first of all as it ends, if `threading` is in `sys.modules`; and a program that never
uses it shall not wait for its import, which takes longer than all of the package's. So a module stands there that is
loaded as soon as Python code asks it for anything, which the statement `import threading` does, too. That is how
`importlib.util.LazyLoader` works; its own import takes too long.
"""

import _frozen_importlib
import _thread
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType as _Module
    from typing import Any, Callable
else:
    _Module = type(sys)

_lock = _thread.RLock()
_is_loading = False


def _is_asked_by_python() -> bool:
    """Whether code in Python looks at the module: as CPython ends, it asks with no function of Python's running."""
    try:
        sys._getframe(2)
    except ValueError:
        return False
    return True


class _Unused(_Module):
    def __getattribute__(self, name: str) -> "Any":
        if not _is_asked_by_python():
            if name == "_shutdown":
                return _at_exit
        else:
            _load(self)
        return _Module.__getattribute__(self, name)

    def __setattr__(self, name: str, value: "Any") -> None:
        _load(self)
        _Module.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _load(self)
        _Module.__delattr__(self, name)


_at_exit: "Callable[[], None]"
_when_used: "Callable[[], None]"


def stand_in(at_exit: "Callable[[], None]", when_used: "Callable[[], None]") -> None:
    """CPython calls `at_exit` as it ends, as long as nobody uses `threading`; and `when_used` is called once it is loaded."""
    global _at_exit, _when_used
    spec = _frozen_importlib._find_spec("threading", None)  # type: ignore[attr-defined]
    if not hasattr(getattr(spec, "loader", None), "exec_module"):
        import threading  # noqa: F401  (from an importer of the program's own, which also says what is wrong)

        when_used()
        return
    _at_exit, _when_used = at_exit, when_used
    module = _frozen_importlib.module_from_spec(spec)
    module.__class__ = _Unused
    sys.modules["threading"] = module


def _load(module: _Unused) -> None:
    global _is_loading
    with _lock:
        if type(module) is not _Unused or _is_loading:
            return  # another thread has done it, or the module itself asks
        _is_loading = True
        try:
            module.__spec__.loader.exec_module(module)  # type: ignore[union-attr]
        finally:
            _is_loading = False
        _Module.__setattr__(module, "__class__", _Module)
        _when_used()
