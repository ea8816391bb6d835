// title: twenty lives of Python, in each a thread that comes too late: none of them is left
// of: everyday
// seconds: 20
#include "host.h"

#include <dirent.h>

static sem_t detached, finalized;

static void *late(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_BEGIN_ALLOW_THREADS
    sem_post(&detached);
    host_wait(&finalized);
    Py_END_ALLOW_THREADS
    PyGILState_Release(state);
    return unused;
}

static int threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (readdir(tasks) != NULL) {
        count++;
    }
    closedir(tasks);
    return count - 2;
}

int main(void)
{
    sem_init(&detached, 0, 0);
    sem_init(&finalized, 0, 0);
    for (int life = 0; life < 20; life++) {
        host_start();
        host_thread(late, NULL);
        Py_BEGIN_ALLOW_THREADS
        host_wait(&detached);
        Py_END_ALLOW_THREADS
        if (Py_FinalizeEx() < 0) {
            return 120;
        }
        sem_post(&finalized);
    }
    for (int turn = 0; turn < 1000 && threads() > 1; turn++) {
        usleep(1000);
    }
    return threads() > 1 ? 95 : 0;
}
