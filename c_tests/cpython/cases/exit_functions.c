// title: a hundred Py_AtExit functions
// of: Py_AtExit's limit of 32
// stock: always
#include "host.h"

static int calls;

static void count(void)
{
    calls++;
}

int main(void)
{
    host_start();
    for (int number = 0; number < 100; number++) {
        if (Py_AtExit(count) < 0) {
            return 97;
        }
    }
    Py_FinalizeEx();
    return calls == 100 ? 0 : 98;
}
