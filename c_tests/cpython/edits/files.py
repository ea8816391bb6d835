"""Buffered and text files: the lock, what its takeover needs to know, and the list of all files."""

from tree import After, Before, Edits, ReplaceLines

EDITS: Edits = {
    "Modules/_io/bufferedio.c": [
        After(r'^#include "_iomodule.h"', '#include "bufferedio_fields.h"'),
        ReplaceLines(r"    PyThread_type_lock lock;", "    rt_buffered_lock lock;\n    rt_buffered rt;\n",
                     last=r"volatile unsigned long owner;"),
        ReplaceLines(r"^static int\n_enter_buffered_busy\(buffered \*self\)", "",
                     last=r"PyThread_release_lock\(self->lock\); \\\n    \} while\(0\);"),
        After(r"^#define MINUS_LAST_BLOCK\(self, size\)(?:.*\\\n)*.*", '\n#include "bufferedio.h"\n'),
        ReplaceLines(r"    if \(self->buffer\) \{", "    rt_end(self);", last=r"self->lock = NULL;\n    \}",
                     within="buffered_dealloc"),
        ReplaceLines(r"    if \(self->lock\)$", "    rt_begin(self);", last=r"self->owner = 0;",
                     within="_buffered_init"),
        After(r"^_bufferedwriter_reset_buf\(buffered \*self\)\n\{", "    rt_is_empty(self);"),
        Before(r"    if \(self->buffer\) \{", """
    if (_PyRt_IsEnding()) {
        rt_account((PyObject *)self);
    }
""", within="_io__Buffered_close_impl"),
        After(r"    self->fast_closed_checks = \((?:.*\n)*?    \);", "    rt_begin_writing(self);",
              within="_io_BufferedWriter___init___impl"),
        *(After(r"    self->fast_closed_checks = [^;]*;", "    rt_knows_raw(self);", within=name)
          for name in ("_io_BufferedReader___init___impl", "_io_BufferedRandom___init___impl")),
        Before(r"    /\* NOTE: the buffer needn't be released", """
    /* Not by a thread that runs, without a GIL, until the world stops. */
    if (_PyRt_MustNotWait() && _PyRt_AdmitsThreadState() && self->fast_closed_checks) {
        n = _PyRt_WriteLate(&self->rt.file, self->raw, start, len);
        if (n > 0 && self->abs_pos != -1) {
            self->abs_pos += n;
        }
        return n;
    }
    if (!_PyRt_IsLastFlush() && self->fast_closed_checks && _PyRt_IsEnding()) {
        len = _PyRt_AwaitRoom(self->raw, len);
        if (len < 0) {
            return -1;
        }
    }
""", within="_bufferedwriter_raw_write"),
        Before(r"    res = PyLong_FromSsize_t\(written\);", "    rt_arrived(self, buffer->buf);",
               within="_io_BufferedWriter_write_impl"),
        Before(r"    do \{$", "    rt_offer_begin(self, start, len);", within="_bufferedwriter_raw_write"),
        Before(r"    Py_DECREF\(memobj\);", "    rt_offer_end(self);", within="_bufferedwriter_raw_write"),
        Before(r"    if \(n > 0 && self->abs_pos != -1\)\n        self->abs_pos \+= n;\n    return n;",
               "    rt_offer_taken(self, n);", within="_bufferedwriter_raw_write"),
    ],
    "Modules/_io/textio.c": [
        After(r'^#include "_iomodule.h"', '#include "textio_fields.h"'),
        After(r"^    Py_ssize_t pending_bytes_count;", "    rt_text rt;"),
        Before(r"^/\* A couple of specialized cases in order to bypass", '#include "textio.h"\n\n'),
        After(r"    self->ok = 1;", "    rt_begin(self);"),
        After(r"    self->ok = 0;", "    rt_end(self);", within="textiowrapper_dealloc"),
        After(r"    if \(self->pending_bytes_count >= self->chunk_size.*(?:\n.*)?\{", "        self->rt.new = bytes_len;",
              within="_io_TextIOWrapper_write_impl"),
        Before(r"    PyObject \*ret;\n    do \{", """
    struct rt_record *record = rt_record_begin(self, b);
""", within="_textiowrapper_writeflush"),
        Before(r"    Py_DECREF\(b\);\n    // NOTE", "    rt_record_end(self, record, ret != NULL);",
               within="_textiowrapper_writeflush"),
    ],
    "Python/fileutils.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        Before(r"            Py_END_ALLOW_THREADS\n        \} while \(n < 0 && err == EINTR",
               "            _PyRt_Wrote(offering, n);", within="_Py_write_impl"),
        Before(r"    _Py_BEGIN_SUPPRESS_IPH", "    rt_buffered_lock *offering = _PyRt_TakeOffering();",
               within="_Py_write_impl"),
    ],
}
