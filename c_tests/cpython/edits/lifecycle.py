"""A life of the runtime begins and ends in pylifecycle.c."""

from tree import After, Edits

EDITS: Edits = {
    "Python/pylifecycle.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        After(r"^    _PyRuntimeState \*runtime = &_PyRuntime;", """
    status = _PyRtFinalize_Init();
    if (_PyStatus_EXCEPTION(status)) {
        return status;
    }
""", within="Py_InitializeFromConfig"),
    ],
}
