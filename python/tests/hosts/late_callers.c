// title: native threads come in for the first time after Python has ended
// of: map, gh-124619
// arrives: alive: b"alive"
// stock: always
#include "host.h"

enum { THREADS = 4 };
static sem_t ended, done;

static void *late(void *unused)
{
    host_guard guard;
    (void)unused;
    host_wait(&ended);
    if (host_ensure("late", &guard)) {
        host_release(&guard);
        _exit(97);
    }
    sem_post(&done);
    return NULL;
}

int main(void)
{
    int code, i;
    sem_init(&ended, 0, 0);
    sem_init(&done, 0, 0);
    host_start();
    for (i = 0; i < THREADS; i++) {
        host_thread(late, NULL);
    }
    code = host_finalize();
    for (i = 0; i < THREADS; i++) {
        sem_post(&ended);
    }
    for (i = 0; i < THREADS; i++) {
        NEED(host_wait_a_while(&done));
    }
    host_lives_on();
    return code;
}
