/* The exit code. */
#include "native.h"

/* Where output was lost a program that ended by 0 ends by 120, as CPython's own do; and the code of its own stays. */
static atomic_int code_instead_of_0;

/* The program's own, where that is known; else 0. */
static atomic_int known_code;

void native_end_process(int code)
{
    fflush(NULL);
    _exit(code);
}

static void correct_code(int code, void *unused)
{
    (void)unused;
    if (code == 0 && code_instead_of_0 != 0) {
        native_end_process(code_instead_of_0);
    }
}

void native_correct_code_at_exit(void)
{
    /* The handlers of libc run in reverse order, and Python's finalization before them: of all that happens at the end
     * this comes nearly last. */
    on_exit(correct_code, NULL);
}

void native_lose_output(void)
{
    code_instead_of_0 = 120;
}

int native_code_of_loss(void)
{
    return known_code != 0 ? known_code : 120;
}

static PyObject *set_code(PyObject *module, PyObject *args)
{
    int code;
    (void)module;
    if (!PyArg_ParseTuple(args, "i:set_code", &code)) {
        return NULL;
    }
    known_code = code;
    Py_RETURN_NONE;
}

/* What was lost counts, unless the program ends by a code of its own. */
static PyObject *output_was_lost(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    native_lose_output();
    Py_RETURN_NONE;
}

static PyObject *code_after_losses(PyObject *module, PyObject *args)
{
    int code;
    (void)module;
    return PyArg_ParseTuple(args, "i:code_after_losses", &code) ? PyLong_FromLong(code != 0 ? code : code_instead_of_0)
                                                                : NULL;
}

static PyObject *end_process(PyObject *module, PyObject *args)
{
    int code;
    (void)module;
    if (!PyArg_ParseTuple(args, "i:end_process", &code)) {
        return NULL;
    }
    native_end_process(code != 0 ? code : code_instead_of_0);
}

static void end_before_other_handlers(int code, void *unused)
{
    (void)unused;
    native_end_process(code != 0 ? code : code_instead_of_0);
}

static PyObject *skip_exit_handlers(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    on_exit(end_before_other_handlers, NULL); /* the last that is registered is the first that is called */
    Py_RETURN_NONE;
}

PyMethodDef native_code_methods[] = {
    {"set_code", set_code, METH_VARARGS, "The program ends by this exit code."},
    {"output_was_lost", output_was_lost, METH_NOARGS, "The exit code is 120 if it would be 0."},
    {"code_after_losses", code_after_losses, METH_VARARGS, "The exit code of a process that would end by this one."},
    {"skip_exit_handlers", skip_exit_handlers, METH_NOARGS, "The process ends before libc's exit handlers are called."},
    {"end_process", end_process, METH_VARARGS, "End the process at once, with this exit code."},
    {NULL, NULL, 0, NULL},
};
