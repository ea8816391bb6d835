/*
 * What Microsoft's msvcrt.lib has in it besides imports, as far as the tests' programs and
 * libraries need it: the directory of thread-locals, the lists of what runs first and last, and
 * some symbols that compilers refer to.
 */
#include <corecrt_startup.h>
#include <stdint.h>
#include <stdlib.h>
#include <windows.h>

#pragma section(".CRT$XIA", read)
#pragma section(".CRT$XIZ", read)
#pragma section(".CRT$XCA", read)
#pragma section(".CRT$XCZ", read)
#pragma section(".CRT$XTA", read)
#pragma section(".CRT$XTZ", read)
#pragma section(".CRT$XLA", read)
#pragma section(".CRT$XLZ", read)
#pragma section(".rdata$T", read)
#pragma section(".tls", read, write)
#pragma section(".tls$ZZZ", read, write)
#define AT(section) __declspec(allocate(section))

typedef int (*first)(void);
typedef void (*step)(void);
AT(".CRT$XIA") const first i_begin = NULL;
AT(".CRT$XIZ") const first i_end = NULL;
AT(".CRT$XCA") const step c_begin = NULL;
AT(".CRT$XCZ") const step c_end = NULL;
AT(".CRT$XTA") const step t_begin = NULL;
AT(".CRT$XTZ") const step t_end = NULL;

AT(".CRT$XLA") const PIMAGE_TLS_CALLBACK l_begin = NULL;
AT(".CRT$XLZ") const PIMAGE_TLS_CALLBACK l_end = NULL;
AT(".tls") char tls_begin = 0;
AT(".tls$ZZZ") char tls_end = 0;
ULONG _tls_index = 0;
AT(".rdata$T") const IMAGE_TLS_DIRECTORY64 _tls_used = {
    (ULONG_PTR)&tls_begin, (ULONG_PTR)&tls_end, (ULONG_PTR)&_tls_index,
    (ULONG_PTR)(&l_begin + 1), 0, 0};

int _fltused = 0x9875;
uintptr_t __security_cookie = 0x2b992ddfa232;
void __security_check_cookie(uintptr_t cookie);
void __security_check_cookie(uintptr_t cookie)
{
    if (cookie != __security_cookie) {
        __builtin_trap();
    }
}

/* The table of type_info's functions: what is thrown refers to it. */
extern const void *const type_info_table[] __asm__("??_7type_info@@6B@");
const void *const type_info_table[] = {NULL, NULL};

/* Touches every page of a frame of rax bytes. */
__asm__(".globl __chkstk\n"
        "__chkstk:\n"
        "  push %rcx\n"
        "  push %rax\n"
        "  lea 24(%rsp), %rcx\n"
        "1:\n"
        "  cmp $4096, %rax\n"
        "  jb 2f\n"
        "  sub $4096, %rcx\n"
        "  test %rcx, (%rcx)\n"
        "  sub $4096, %rax\n"
        "  jmp 1b\n"
        "2:\n"
        "  sub %rax, %rcx\n"
        "  test %rcx, (%rcx)\n"
        "  pop %rax\n"
        "  pop %rcx\n"
        "  ret\n");

static _onexit_table_t at_end;
void image_begins(void);
void image_ends(void);

static void run(const step *from, const step *to)
{
    for (; from != to; from++) {
        if (*from != NULL) {
            (*from)();
        }
    }
}

void image_begins(void)
{
    const first *early;
    _initialize_onexit_table(&at_end);
    for (early = &i_begin; early != &i_end; early++) {
        if (*early != NULL && (*early)() != 0) {
            abort();
        }
    }
    run(&c_begin, &c_end);
}

/* Its functions run with its own end: that of the process, or FreeLibrary. */
int atexit(void (*function)(void))
{
    return _register_onexit_function(&at_end, (_onexit_t)function);
}

void image_ends(void)
{
    _execute_onexit_table(&at_end);
    run(&t_begin, &t_end);
}
