/* CPython's finalization by rtfinalize: what CPython's own files call. */

#ifndef RTFINALIZE_CPYTHON_ADAPTER_H
#define RTFINALIZE_CPYTHON_ADAPTER_H

#include "Python.h"

/* At the start of every life of the runtime, before there is an interpreter. Fails when the library that is
 * linked is not the one the header belongs to. */
PyAPI_FUNC(PyStatus) _PyRtFinalize_Init(void);

#endif
