/* The library's settings and times, and notes for its report. */
#include "native.h"

static PyObject *set(PyObject *module, PyObject *args)
{
    const char *name, *text;
    (void)module;
    return PyArg_ParseTuple(args, "sy:set", &name, &text) ? native_checked(rt_runtime_set_text(native_runtime, name, text)) : NULL;
}

static PyObject *times(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_BuildValue("LLL", (long long)rt_runtime_grace(native_runtime),
                         (long long)rt_runtime_notice(native_runtime), (long long)rt_time_left(native_runtime));
}

static PyObject *note_file(PyObject *module, PyObject *args)
{
    rt_report_destination file = {.struct_size = sizeof file};
    unsigned long long written, unwritten, in_flight;
    (void)module;
    if (!PyArg_ParseTuple(args, "sKKKz:note_file", &file.name, &written, &unwritten, &in_flight, &file.reason)) {
        return NULL;
    }
    file.accepted = written + unwritten + in_flight;
    file.written = file.flushed = written;
    file.unwritten = unwritten;
    file.in_flight = in_flight;
    return native_checked(rt_note_destination(native_runtime, &file));
}

static PyObject *note_leak(PyObject *module, PyObject *args)
{
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_HOST};
    (void)module;
    if (!PyArg_ParseTuple(args, "ss:note_leak", &leak.name, &leak.reason)) {
        return NULL;
    }
    return native_checked(rt_note_leak(native_runtime, &leak));
}

static PyObject *note_blocked(PyObject *module, PyObject *args)
{
    const char *what, *outcome;
    double seconds;
    (void)module;
    if (!PyArg_ParseTuple(args, "sds:note_blocked", &what, &seconds, &outcome)) {
        return NULL;
    }
    return native_checked(rt_note_blocked(native_runtime, what, (uint64_t)(seconds * 1e6), outcome));
}

static PyObject *tell(PyObject *module, PyObject *args)
{
    const char *line;
    (void)module;
    return PyArg_ParseTuple(args, "s:tell", &line) ? native_checked(rt_tell(line)) : NULL;
}

static PyObject *number_reports(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    rt_number_reports();
    Py_RETURN_NONE;
}

PyMethodDef native_setting_methods[] = {
    {"set", set, METH_VARARGS, "Set what the environment's variable of that name sets."},
    {"times", times, METH_NOARGS, "Grace, notice and time left, in microseconds; negative is none."},
    {"number_reports", number_reports, METH_NOARGS, "Have reports say which of several processes they are of."},
    {"note_file", note_file, METH_VARARGS, "Enter a file, with bytes written, unwritten, in flight, in the report."},
    {"note_leak", note_leak, METH_VARARGS, "Enter something that is kept on purpose in the report."},
    {"note_blocked", note_blocked, METH_VARARGS, "Enter a wait that was given up, of so many seconds, in the report."},
    {"tell", tell, METH_VARARGS, "Write a line to stderr, if that is what the process was started with."},
    {NULL, NULL, 0, NULL},
};
