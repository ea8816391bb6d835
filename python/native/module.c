/* The module. */
#include "native.h"

/* Made by build.rs: another copy of the library may be in the process, and neither may be taken for the other. */
#include "hidden.h"

const char native_name[] = "main";

/* faulthandler lists a module as an extension only if its definition has functions; so it gets those of one file. */
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "rtfinalize._native", "The library, for the engine.", -1, native_finalize_methods,
    NULL, NULL, NULL, NULL,
};

PyObject *rtfinalize_native_module(void);

PyObject *rtfinalize_native_module(void)
{
    PyMethodDef *const tables[] = {
        native_thread_methods,     native_clock_methods,         native_signal_methods, native_object_methods,
        native_errand_methods,     native_dump_methods,          native_word_methods,   native_code_methods,
        native_guard_methods,      native_setting_methods,       native_compile_methods,
        native_beforehand_methods, native_subinterpreter_methods, native_look_methods,
    };
    if (rt_version() != RT_VERSION_NUMBER) {
        PyErr_SetString(PyExc_ImportError, "rtfinalize: the library is not of the version of its header");
        return NULL;
    }
    native_correct_code_at_exit();
    native_note_main_thread();
    return native_new_module(&definition, tables, sizeof tables / sizeof *tables);
}
