// title: sixty lives one after the other: how much each leaves behind
// of: map
// measured: 1.05
// seconds: 20
#include "host.h"

static long resident_kib(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*d %ld", &pages) != 1) {
        exit(96);
    }
    fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void lives(int number)
{
    for (int count = 0; count < number; count++) {
        host_start();
        host_run("pass");
        if (Py_FinalizeEx() < 0) {
            exit(120);
        }
    }
}

int main(void)
{
    lives(10);
    long before = resident_kib();
    lives(50);
    double grown = (double)(resident_kib() - before) / 50;
    /* Less than a page a life is the allocator's own coming and going. */
    printf("measured %.1f KiB a life\n", grown > 4 ? grown : 4);
    return 0;
}
