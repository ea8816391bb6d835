// title: a main thread ends Python and then itself, and only a parked thread is left: the process ends
// of: everyday
// set: RTFINALIZE_LATE_THREADS=park
#include "late.h"

int main(void)
{
    late_life();
    pthread_exit(NULL);
}
