#include "adapter.h"

#include <rtfinalize.h>

PyStatus _PyRtFinalize_Init(void)
{
    /* Before 1.0 the minor version may break the ABI, so all of it has to agree. */
    if (rt_version() != RT_VERSION) {
        return PyStatus_Error("rtfinalize: the library that is linked is not of the version " RT_VERSION_STRING
                              " of the header CPython was built with; build both from the same source");
    }
    return PyStatus_Ok();
}
