/* Where a library begins and ends. */
#include <windows.h>

void image_begins(void);
void image_ends(void);

BOOL WINAPI DllMain(HINSTANCE image, DWORD why, LPVOID reserved);
BOOL WINAPI no_dll_main(HINSTANCE image, DWORD why, LPVOID reserved);
BOOL WINAPI no_dll_main(HINSTANCE image, DWORD why, LPVOID reserved)
{
    (void)image, (void)why, (void)reserved;
    return TRUE;
}
#pragma comment(linker, "/ALTERNATENAME:DllMain=no_dll_main")

BOOL WINAPI _DllMainCRTStartup(HINSTANCE image, DWORD why, LPVOID reserved);
BOOL WINAPI _DllMainCRTStartup(HINSTANCE image, DWORD why, LPVOID reserved)
{
    BOOL done;
    if (why == DLL_PROCESS_ATTACH) {
        image_begins();
    }
    done = DllMain(image, why, reserved);
    if (why == DLL_PROCESS_DETACH) {
        image_ends();
    }
    return done;
}
