// title: a daemon thread waits in a C function for a condition, which the host destroys after Python has ended
// of: the header
// stock: none
// arrives: alive: b"alive"
#include "host.h"

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    int is_over;
};
static struct queue *queue;
static sem_t waits, left;

static PyObject *get(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&queue->mutex);
    sem_post(&waits);
    while (!queue->is_over) {
        pthread_cond_wait(&queue->condition, &queue->mutex);
    }
    pthread_mutex_unlock(&queue->mutex);
    sem_post(&left);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef of_get = {"get", get, METH_NOARGS, NULL};

int main(void)
{
    PyObject *function;
    int code;
    sem_init(&waits, 0, 0);
    sem_init(&left, 0, 0);
    queue = calloc(1, sizeof *queue);
    NEED(queue != NULL);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->condition, NULL);
    host_start();
    function = PyCFunction_New(&of_get, NULL);
    NEED(function != NULL && PyModule_AddObject(PyImport_AddModule("__main__"), "get", function) == 0);
    host_run("import threading\n"
             "threading.Thread(target=get, daemon=True).start()\n");
    Py_BEGIN_ALLOW_THREADS
    host_wait(&waits);
    Py_END_ALLOW_THREADS
    code = host_finalize();
    pthread_mutex_lock(&queue->mutex);
    queue->is_over = 1;
    pthread_cond_broadcast(&queue->condition);
    pthread_mutex_unlock(&queue->mutex);
    NEED(host_wait_a_while(&left));
    pthread_cond_destroy(&queue->condition);
    host_lives_on();
    return code;
}
