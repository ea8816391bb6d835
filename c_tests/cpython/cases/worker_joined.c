// title: a host ends Python and then joins its worker, which calls in again and again
// of: PEP 788's discussion
// arrives: stdout: b"joined\n"
#include "worker.h"

int main(void)
{
    host_start();
    worker_start();
    if (Py_FinalizeEx() < 0) {
        return 120;
    }
    worker_join();
    return 0;
}
