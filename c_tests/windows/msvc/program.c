/* Where a program begins. */
#include <corecrt_startup.h>
#include <stdlib.h>

void image_begins(void);
void image_ends(void);
int main(int argc, char **argv, char **environment);

void mainCRTStartup(void);
void mainCRTStartup(void)
{
    _set_app_type(_crt_console_app);
    _configure_narrow_argv(_crt_argv_unexpanded_arguments);
    _initialize_narrow_environment();
    image_begins();
    _crt_atexit(image_ends);
    exit(main(*__p___argc(), *__p___argv(), _get_initial_narrow_environment()));
}
