// title: a host's main thread ends Python and then itself, while a thread is left that comes too late
// of: everyday
#include "late.h"

int main(void)
{
    late_life();
    pthread_exit(NULL);
}
