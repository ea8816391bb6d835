// title: twenty lives of Python, in each a thread that comes too late: none of them is left
// of: everyday
// seconds: 20
#include "late.h"

#include <dirent.h>

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
    for (int life = 0; life < 20; life++) {
        late_life();
        /* It is gone in a moment. */
        for (int turn = 0; turn < 5000 && threads() > 1; turn++) {
            usleep(1000);
        }
    }
    return threads() > 1 ? 95 : 0;
}
