/*
 * The engine of an embedded Python's end: the package's, and what a host's has besides.
 *
 * Its modules are in this file as text. They are compiled at the end, and are in no table of Python's, so that code in
 * this Python neither sees nor changes them.
 */

struct engine_module {
    const char *name;
    const char *const *lines; /* ends with NULL */
};
/* The modules of the engine, which `amalgamate` writes here. */

static PyObject *thread_states(PyObject *module, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    PyThreadState *own = PyThreadState_Get(), *thread;
    (void)module;
    (void)unused;
    for (thread = PyInterpreterState_ThreadHead(own->interp); list != NULL && thread != NULL;
         thread = PyThreadState_Next(thread)) {
        PyObject *ident = thread == own ? NULL : PyLong_FromUnsignedLong(thread->thread_id);
        if (thread != own && (ident == NULL || PyList_Append(list, ident) < 0)) {
            Py_CLEAR(list);
        }
        Py_XDECREF(ident);
    }
    return list;
}

static PyObject *interpreters(PyObject *module, PyObject *unused)
{
    long count = 0;
    PyInterpreterState *each;
    (void)module;
    (void)unused;
    for (each = PyInterpreterState_Head(); each != NULL; each = PyInterpreterState_Next(each)) {
        count++;
    }
    return PyLong_FromLong(count);
}

static PyObject *output_was_lost(PyObject *module, PyObject *unused)
{
    /* The report and the status say so. */
    (void)module;
    (void)unused;
    Py_RETURN_NONE;
}

static PyMethodDef host_methods[] = {
    {"thread_states", thread_states, METH_NOARGS, "The identifiers of the other threads that Python knows."},
    {"stop_sleeper", stop_sleeper, METH_VARARGS, "Stop a thread that waits in a system call."},
    {"interpreters", interpreters, METH_NOARGS, "How many interpreters there are."},
    {"output_was_lost", output_was_lost, METH_NOARGS, "Accepted bytes are lost."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef host_definition = {
    PyModuleDef_HEAD_INIT, ENGINE "._native", "The library, for the engine.", -1, NULL, NULL, NULL, NULL, NULL,
};

static PyObject *native_module(void)
{
    PyMethodDef *const tables[] = {
        native_thread_methods, native_clock_methods, native_signal_methods,  native_object_methods,
        native_errand_methods, native_word_methods,  native_setting_methods, native_subinterpreter_methods,
        native_look_methods,   host_methods,
    };
    return native_new_module(&host_definition, tables, sizeof tables / sizeof *tables);
}

static PyObject *compiled(const struct engine_module *of, const char *full_name)
{
    PyObject *code;
    char *source, *end;
    size_t length = 1, i;
    for (i = 0; of->lines[i] != NULL; i++) {
        length += strlen(of->lines[i]) + 1;
    }
    source = end = PyMem_Malloc(length);
    if (source == NULL) {
        return PyErr_NoMemory();
    }
    for (i = 0; of->lines[i] != NULL; i++) {
        end += sprintf(end, "%s\n", of->lines[i]);
    }
    code = Py_CompileString(source, full_name, Py_file_input);
    PyMem_Free(source);
    return code;
}

/* What `import` is for the engine: its own modules, and Python's as they were when it started. */
static PyObject *import_for_engine(PyObject *package, PyObject *args)
{
    const char *name;
    PyObject *globals, *locals, *names;
    int level = 0;
    if (!PyArg_ParseTuple(args, "s|OOOi:__import__", &name, &globals, &locals, &names, &level)) {
        return NULL;
    }
    if (level == 0) {
        return native_import(name);
    }
    return name[0] == 0 ? Py_NewRef(package) : PyObject_GetAttrString(package, name);
}

static PyMethodDef of_import = {"__import__", import_for_engine, METH_VARARGS, NULL};

/* Executes a module of the engine, and enters it in its package. 0, or -1 with an exception. */
static int add_module(PyObject *package, PyObject *builtins, const struct engine_module *of)
{
    char full_name[64];
    PyObject *module, *code, *done = NULL;
    int is_added;
    snprintf(full_name, sizeof full_name, "%s.%s", ENGINE, of->name);
    module = PyModule_New(full_name);
    code = module == NULL ? NULL : compiled(of, full_name);
    if (code != NULL && PyObject_SetAttrString(module, "__builtins__", builtins) == 0) {
        PyObject *names = PyModule_GetDict(module);
        done = PyEval_EvalCode(code, names, names);
    }
    is_added = done != NULL && PyObject_SetAttrString(package, of->name, module) == 0;
    Py_XDECREF(done);
    Py_XDECREF(code);
    Py_XDECREF(module);
    return is_added ? 0 : -1;
}

/* The package of the engine's modules, a new reference; NULL with an exception. Nobody else finds it. */
static PyObject *new_package(void)
{
    PyObject *package = PyModule_New(ENGINE), *builtins = native_kept_builtins(), *native = native_module();
    PyObject *import = package == NULL ? NULL : PyCFunction_New(&of_import, package);
    int is_made = builtins != NULL && native != NULL && import != NULL
        && PyDict_SetItemString(builtins, "__import__", import) == 0
        && PyObject_SetAttrString(package, "_native", native) == 0;
    size_t i;
    for (i = 0; is_made && engine_modules[i].name != NULL; i++) {
        is_made = add_module(package, builtins, &engine_modules[i]) == 0;
    }
    Py_XDECREF(import);
    Py_XDECREF(native);
    Py_XDECREF(builtins);
    if (!is_made) {
        Py_CLEAR(package);
    }
    return package;
}

/* The engine of this end, a new reference; NULL with an exception. */
static PyObject *new_engine(int is_reported)
{
    PyObject *package = new_package(), *module = NULL, *gc = NULL, *collects = NULL, *off = NULL, *engine = NULL;
    if (package != NULL) {
        module = PyObject_GetAttrString(package, "_host");
        gc = native_import("gc");
    }
    if (module != NULL && gc != NULL) {
        collects = PyObject_CallMethod(gc, "isenabled", NULL);
        /* A file in a cycle that nobody refers to would lose its bytes in silence, if a collection came before the flush. */
        off = collects == NULL ? NULL : PyObject_CallMethod(gc, "disable", NULL);
        engine = off == NULL ? NULL : PyObject_CallMethod(module, "Host", "Oi", collects, is_reported);
    }
    Py_XDECREF(off);
    Py_XDECREF(collects);
    Py_XDECREF(gc);
    Py_XDECREF(module);
    Py_XDECREF(package);
    return engine;
}
