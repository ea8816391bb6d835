// title: a host that blocks all signals, and has two hundred daemon threads that sleep, blocks them afterwards, too
// of: the header
// stock: none
// seconds: 10
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

#include <signal.h>

int main(void)
{
    struct timespec since, now;
    sigset_t all, before, after;
    int code, number;
    sigfillset(&all);
    NEED(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0 && pthread_sigmask(SIG_BLOCK, NULL, &before) == 0);
    NEED(setenv("RTFINALIZE_DEADLINE", "2s", 1) == 0);
    host_start();
    host_run("import threading, time\n"
             "for _ in range(200):\n"
             "    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
             "file = open('log', 'w')\n"
             "file.write('a line')\n");
    clock_gettime(CLOCK_MONOTONIC, &since);
    code = host_finalize();
    clock_gettime(CLOCK_MONOTONIC, &now);
    NEED(now.tv_sec - since.tv_sec < 5);
    NEED(pthread_sigmask(SIG_BLOCK, NULL, &after) == 0);
    for (number = 1; number <= SIGRTMAX; number++) {
        NEED(sigismember(&after, number) == sigismember(&before, number));
    }
    host_lives_on();
    return code;
}
