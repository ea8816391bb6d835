// title: with no deadline, a guard that stays open for six seconds is waited for, and named on request
// of: PEP 788
// stock: none
// seconds: 15
// set: RTFINALIZE_NOTICE=5s
// says: has waited \d+ s for guard 'uploader, in upload' of thread \d+
#include "native.h"

static int closed;

static void *close_late(void *unused)
{
    (void)unused;
    sleep(6);
    closed = 1;
    PyInterpreterGuard_Close(native_guard);
    return NULL;
}

int main(void)
{
    native_open_guard();
    host_thread(close_late, NULL);
    int status = Py_FinalizeEx();
    return !closed ? 95 : status < 0 ? 120 : 0;
}
