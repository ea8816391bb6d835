// title: a host joins its worker, which was parked when it called Python too late: the wait is named
// of: everyday
// stock: none
// set: RTFINALIZE_LATE_THREADS=park
// set: RTFINALIZE_NOTICE=50ms
// says: thread \d+\) waits for the end of '.*' \(thread \d+\) and will never get on
#include "late.h"

int main(void)
{
    struct timespec until;
    pthread_t thread = late_life_to_join();
    /* The join never succeeds; this one gives up, so that the process ends. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    return pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT ? 0 : 1;
}
