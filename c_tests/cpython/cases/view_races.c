// title: sixteen native threads call into Python by a view while Py_FinalizeEx runs: each is refused in the end
// of: PEP 788, gh-124619
// stock: none
// seconds: 20
#include "callers.h"

int main(void)
{
    host_start();
    callers_start();
    int status = Py_FinalizeEx();
    callers_end();
    return status < 0 ? 120 : 0;
}
