/*
 * A program that knows nothing of the library and loads a plug-in that uses it: consumer.c. A thread uses the
 * plug-in, and ends only after the plug-in was closed: what the library hooked into that thread must be
 * there still.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int (*consume)(void);
static int consumed = -1;
static pthread_barrier_t used, closed;

static void *use(void *unused)
{
    consumed = consume();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread;
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
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    if (pthread_create(&thread, NULL, use, NULL) != 0) {
        return 2;
    }
    pthread_barrier_wait(&used);
    if (dlclose(plugin) != 0) {
        return 2;
    }
    pthread_barrier_wait(&closed);
    pthread_join(thread, NULL);
    return consumed;
}
