// title: views of one life are asked after it, and in the next
// of: PEP 788
// stock: none
#include "host.h"

static void want(int so, int code)
{
    if (!so) {
        exit(code);
    }
}

static int grants(PyInterpreterView *view)
{
    PyInterpreterGuard *guard = PyInterpreterGuard_FromView(view);
    PyThreadStateToken *token = PyThreadState_EnsureFromView(view);
    want((guard != NULL) == (token != NULL), 97);
    if (token != NULL) {
        host_run("import json; assert json.loads('[1]') == [1]");
        PyThreadState_Release(token);
        PyInterpreterGuard_Close(guard);
    }
    return guard != NULL;
}

static void *from_a_thread(void *view)
{
    return (void *)(intptr_t)grants((PyInterpreterView *)view);
}

static int grants_a_thread(PyInterpreterView *view)
{
    pthread_t thread;
    void *granted = NULL;
    want(pthread_create(&thread, NULL, from_a_thread, view) == 0, 92);
    pthread_join(thread, &granted);
    return granted != NULL;
}

int main(void)
{
    want(PyInterpreterView_FromMain() == NULL, 80);
    host_start();
    PyInterpreterView *main_view = PyInterpreterView_FromMain();
    PyInterpreterView *current = PyInterpreterView_FromCurrent();
    want(main_view != NULL && current != NULL, 81);
    want(grants(main_view) && grants(current), 82);
    PyThreadState *self = PyEval_SaveThread();
    want(grants(main_view) && grants_a_thread(main_view) && grants_a_thread(current), 83);
    want(PyThreadState_GetUnchecked() == NULL, 84);
    PyEval_RestoreThread(self);
    if (Py_FinalizeEx() < 0) {
        return 120;
    }

    want(PyInterpreterView_FromMain() == NULL, 85);
    want(!grants(main_view) && !grants_a_thread(main_view) && !grants_a_thread(current), 86);

    host_start();
    PyInterpreterView *next = PyInterpreterView_FromMain();
    self = PyEval_SaveThread();
    want(!grants_a_thread(main_view) && !grants_a_thread(current), 87);
    want(next != NULL && grants_a_thread(next), 88);
    PyEval_RestoreThread(self);
    want(!grants(main_view) && grants(next), 89);
    PyInterpreterView_Close(main_view);
    PyInterpreterView_Close(current);
    PyInterpreterView_Close(next);
    return Py_FinalizeEx() < 0 ? 120 : 0;
}
