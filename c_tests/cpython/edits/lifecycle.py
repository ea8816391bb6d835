"""Python's life in pylifecycle.c: its finalization is cut into steps, which the library's phases call."""

from tree import After, Before, Edit, Edits, RenameFunction, Replace, ReplaceFunction, ReplaceLines

STEPS = "finalize_step"


def cut(anchor: str, step: str, answer: str = "0") -> Edit:
    """The step before ends here, and this one begins."""
    return Before(anchor, f"""
    return {answer};

    case {step}:;
""", within=STEPS)


def cut_sub(anchor: str, step: str) -> Edit:
    """Likewise, of a subinterpreter's end."""
    return Before(anchor, f"""
        break;

    case {step}:
""", within="end_interpreter_step")


def kept(declaration: str, name: str) -> Edit:
    """A local variable that one step sets and a later one reads."""
    return Replace(rf"{declaration}{name} = ", f"static {declaration.replace(chr(92), '')}{name}; {name} = ",
                   within=STEPS)


EDITS: Edits = {
    "Python/pylifecycle.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        After(r"^    _PyRuntimeState \*runtime = &_PyRuntime;", """
    status = _PyRt_Begin();
    if (_PyStatus_EXCEPTION(status)) {
        return status;
    }
""", within="Py_InitializeFromConfig"),
        Before(r"^    status = add_main_module\(interp\);", """
    if (is_main_interp) {
        _PyRt_DumpOnSignal(interp);
    }

""", within="init_interp_main"),
        ReplaceFunction("Py_IsFinalizing", "    return _PyRt_IsFrozen();"),
        Replace(r"_PyRuntimeState_GetFinalizing\(&_PyRuntime\);\n    if \(finalizing == NULL\) \{",
                "_PyRuntimeState_GetFinalizing(&_PyRuntime);\n    if (!_PyRt_IsFrozen()) {",
                within="_Py_IsInterpreterFinalizing"),
        Replace(r"return finalizing != NULL;", "return finalizing != NULL || _PyRt_IsFrozen();",
                within="_Py_IsInterpreterFinalizing"),
        RenameFunction("_Py_Finalize", STEPS),
        Before(r"^static int\nfinalize_step\(", """
enum {
    RT_STEP_BEGIN,
    RT_STEP_THREADS,
    RT_STEP_PENDING,
    RT_STEP_ATEXIT,
    RT_STEP_FREEZE,
    RT_STEP_FLUSH,
    RT_STEP_FINALIZE,
    RT_STEP_FLUSH_AGAIN,
    RT_STEP_DEALLOC,
    RT_STEP_END,
};

/* One step of the main interpreter's end; see lifecycle.h. */
"""),
        Replace(r"finalize_step\(_PyRuntimeState \*runtime\)",
                "finalize_step(PyThreadState *tstate, int step)"),
        ReplaceLines(r"    /\* Bail out early", """
    _PyRuntimeState *runtime = &_PyRuntime;
    switch (step) {
    case RT_STEP_BEGIN:
""", last=r"resolve_final_tstate\(runtime\);", within=STEPS),
        cut(r"    // Wrap up existing", "RT_STEP_THREADS"),
        cut(r"    // Make any remaining pending calls", "RT_STEP_PENDING"),
        cut(r"    /\* The interpreter is still entirely intact", "RT_STEP_ATEXIT"),
        cut(r"    /\* Copy the core config", "RT_STEP_FREEZE"),
        kept("int ", "show_ref_count"),
        kept("int ", "dump_refs"),
        kept(r"wchar_t \*", "dump_refs_file"),
        kept("int ", "malloc_stats"),
        kept(r"FILE \*", "dump_refs_fp"),
        Replace(r"_PyThreadState_DeleteList\(list\);", "_PyRt_DeleteThreadStates(list);", within=STEPS),
        cut(r"    /\* Flush sys.stdout and sys.stderr \*/", "RT_STEP_FLUSH"),
        cut(r"    /\* Disable signal handling", "RT_STEP_FINALIZE", "status"),
        cut(r"    /\* Flush sys.stdout and sys.stderr \(again", "RT_STEP_FLUSH_AGAIN"),
        cut(r"    /\* Collect final garbage", "RT_STEP_DEALLOC", "status"),
        cut(r"    call_ll_exitfuncs\(runtime\);", "RT_STEP_END"),
        After(r"    _PyRuntime_Finalize\(\);", "    }", within=STEPS),
        Before(r"    Py_XDECREF\(file\);\n\n    if \(_PySys_GetOptionalAttr\(&_Py_ID\(stderr\)", """
    if (status < 0 && file != NULL) {
        _PyRt_IsTold(file);
    }
""", within="flush_std_files"),
        Replace(r"        sts = 120;", "        sts = _PyRt_ExitCode(sts, -1);", within="Py_Exit"),
        Before(r"    if \(_Py_Finalize\(&_PyRuntime\) < 0\) \{", "    _PyRt_EndsSoon();", within="Py_Exit"),
        Before(r"    exit\(sts\);", "    _PyRt_End(sts);", within="Py_Exit"),
        Before(r"^int\nPy_FinalizeEx", '#include "lifecycle.h"\n\n'),
        ReplaceFunction("Py_AtExit", "    return rt_at_exit(func);"),
        Replace(r"^void\nPy_EndInterpreter\(PyThreadState \*tstate\)",
                "static int\nend_interpreter_step(PyThreadState *tstate, int step)"),
        *(Replace(rf'Py_FatalError\("{message}"\)', f'_Py_FatalErrorFunc("Py_EndInterpreter", "{message}")',
                  within="end_interpreter_step")
          for message in ("thread is not current", "thread still has a frame", "not the last thread")),
        Before(r"    if \(tstate != _PyThreadState_GET\(\)\) \{", """
    switch (step) {
    case RT_STEP_BEGIN:
""", within="end_interpreter_step"),
        cut_sub(r"    // Wrap up existing", "RT_STEP_THREADS"),
        cut_sub(r"    // Make any remaining pending calls", "RT_STEP_PENDING"),
        cut_sub(r"    _PyAtExit_Call\(tstate->interp\);", "RT_STEP_ATEXIT"),
        cut_sub(r"    if \(tstate != interp->threads.head", "RT_STEP_FREEZE"),
        # One left open when Python ends. The threads of others stop with the main interpreter's, and any of
        # them may still look at its state.
        Before(r"    if \(tstate != interp->threads.head", """
    if (_PyRt_IsFrozen()) {
        _PyEval_StopTheWorld(interp);
        PyThreadState *list = _PyThreadState_RemoveExcept(tstate);
        _PyEval_StartTheWorld(interp);
        interp->atexit.rt_outlived = _PyRt_DeleteThreadStates(list) > 0;
    }
""", within="end_interpreter_step"),
        Replace(r"if \(tstate != NULL\)", "if (tstate != NULL && tstate->thread_id == PyThread_get_thread_ident())",
                within="finalize_subinterpreters"),
        cut_sub(r"    _PyImport_FiniExternal\(tstate->interp\);", "RT_STEP_FINALIZE"),
        cut_sub(r"    finalize_interp_clear\(tstate\);", "RT_STEP_DEALLOC"),
        After(r"    finalize_interp_delete\(tstate->interp\);", "    }\n    return 0;", within="end_interpreter_step"),
    ],
    "Modules/main.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        # A host that runs Python's main function may go on after it; the program python does not.
        Before(r"^int\nPy_RunMain\(", "static int is_program;\n\n"),
        Before(r"    if \(Py_FinalizeEx\(\) < 0\) \{", """
    if (is_program) {
        _PyRt_EndsSoon();
    }
""", within="Py_RunMain"),
        Replace(r"exitcode = 120;", "exitcode = _PyRt_ExitCode(exitcode, -1);", within="Py_RunMain"),
        Replace(r"    return Py_RunMain\(\);", """
    is_program = 1;
    int code = Py_RunMain();
    _PyRt_End(code);
    return code;
""".strip("\n"), within="pymain_main"),
    ],
    "Python/frozenmain.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        Replace(r"sts = 120;", "sts = _PyRt_ExitCode(sts, -1);"),
    ],
    "Python/pythonrun.c": [
        After(r'^#include "Python.h"', '#include "adapter.h"'),
        # A lock that a stuck thread holds must not keep the process from its finalization.
        Before(r"    flush_io_stream\(tstate, &_Py_ID\(stderr\)\);",
               "    int64_t patience = _PyRt_SetPatience(100 * 1000);", within="flush_io"),
        After(r"    flush_io_stream\(tstate, &_Py_ID\(stdout\)\);", "    _PyRt_SetPatience(patience);",
              within="flush_io"),
    ],
}
