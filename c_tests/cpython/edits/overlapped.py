"""Overlapped operations, on Windows: their deallocators leave the end to the library."""

from tree import After, Before, Edits, ReplaceLines

END = """
    int ended = rt_io_end(&self->rt);
"""

EDITS: Edits = {
    "Modules/_winapi.c": [
        After(r'^#include "winreparse.h"', '#include "overlapped.h"'),
        After(r"    /\* Buffer used for writing \(optional\) \*/\n    Py_buffer write_buffer;", "    rt_io rt;"),
        ReplaceLines(r"    DWORD bytes;", "", within="overlapped_dealloc"),
        ReplaceLines(r"    if \(self->pending\) \{", END, last=r"^    CloseHandle\(self->overlapped\.hEvent\);",
                     within="overlapped_dealloc"),
        After(r"    SetLastError\(err\);\n(?=    if \(self->write_buffer\.obj\))", """
    if (!ended) {
        return;
    }
""", within="overlapped_dealloc"),
        Before(r"^static OverlappedObject \*\nnew_overlapped\(", """
static int
rt_is_started(PyObject *self)
{
    return ((OverlappedObject *)self)->pending;
}

"""),
        Before(r"    PyObject_GC_Track\(self\);", """
    rt_io_begin(&self->rt, (PyObject *)self, &self->overlapped, &self->handle, rt_is_started);
""", within="new_overlapped"),
    ],
    "Modules/overlapped.c": [
        After(r"^#include <mswsock.h>", '#include "overlapped.h"'),
        Before(r"^\} OverlappedObject;", "    rt_io rt;"),
        ReplaceLines(r"    DWORD bytes;", "", within="Overlapped_dealloc"),
        ReplaceLines(r"    BOOL wait = FALSE;", END, last=r"CloseHandle\(self->overlapped\.hEvent\);\n    \}",
                     within="Overlapped_dealloc"),
        Before(r"    Overlapped_clear\(self\);", """
    if (!ended) {
        SetLastError(olderr);
        return;
    }
""", within="Overlapped_dealloc"),
        Before(r"^/\*\[clinic input\]\n@classmethod\n_overlapped\.Overlapped\.__new__", """
static int
rt_is_started(PyObject *self)
{
    return ((OverlappedObject *)self)->type != TYPE_NOT_STARTED;
}

"""),
        Before(r"    return \(PyObject \*\)self;", """
    rt_io_begin(&self->rt, (PyObject *)self, &self->overlapped, &self->handle, rt_is_started);
""", within="_overlapped_Overlapped_impl"),
    ],
}
