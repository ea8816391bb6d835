/* What Python sees of a module: the functions of several files, and what belongs to each module of ours. */
#include "native.h"

PyObject *native_new_module(PyModuleDef *definition, PyMethodDef *const tables[], size_t count)
{
#ifdef Py_GIL_DISABLED
    const int is_free_threaded = 1;
#else
    const int is_free_threaded = 0;
#endif
    PyObject *module = PyModule_Create(definition);
    size_t i;
    for (i = 0; module != NULL && i < count; i++) {
        if (PyModule_AddFunctions(module, tables[i]) < 0) {
            Py_CLEAR(module);
        }
    }
    if (module != NULL && PyModule_AddStringConstant(module, "RUNTIME", native_name) < 0) {
        Py_CLEAR(module);
    }
    if (module != NULL && PyModule_AddIntConstant(module, "IS_FREE_THREADED", is_free_threaded) < 0) {
        Py_CLEAR(module);
    }
#ifdef Py_GIL_DISABLED
    /* Otherwise the import would bring the lock back. */
    if (module != NULL && PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED) < 0) {
        Py_CLEAR(module);
    }
#endif
    return module;
}
