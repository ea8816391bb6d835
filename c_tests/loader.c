/* A program that knows nothing of the library and loads a plug-in that uses it: consumer.c. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int (*consume)(void);
    void *symbol, *plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (plugin == NULL) {
        fprintf(stderr, "usage: loader PLUGIN: %s\n", argc == 2 ? dlerror() : "no plug-in given");
        return 2;
    }
    symbol = dlsym(plugin, "consume");
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    memcpy(&consume, &symbol, sizeof consume); /* ISO C has no cast from void * to a function */
    if (consume() != 0) {
        return 1;
    }
    /* The library has hooks in this process; it must survive the plug-in. */
    return dlclose(plugin);
}
