/*
 * A library that calls back when the process ends, when Windows has killed all threads but one: what
 * a static object's destructor in a library does. process_end.c loads it.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static void (*at_end)(void);

__declspec(dllexport) void call_at_end(void (*function)(void));

void call_at_end(void (*function)(void))
{
    at_end = function;
}

BOOL WINAPI DllMain(HINSTANCE library, DWORD why, LPVOID reserved);

BOOL WINAPI DllMain(HINSTANCE library, DWORD why, LPVOID reserved)
{
    (void)library;
    (void)reserved;
    if (why == DLL_PROCESS_DETACH && at_end != NULL) {
        at_end();
    }
    return TRUE;
}
