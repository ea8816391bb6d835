/*
 * The plug-in of plugin.c, without a line for the preprocessor: it is compiled as it stands where PLUGIN is
 * defined to give its arguments, and is text where it is defined to quote them.
 */
PLUGIN(
    void (*on_unload)(void);

    int touch(void *arg)
    {
        ++*(int *)arg;
        return 0;
    }

    int dealloc(void *arg)
    {
        ++*(int *)arg;
        return 0;
    }

    __INT64_TYPE__ take(void *arg, const void *data, __SIZE_TYPE__ len)
    {
        (void)data;
        ++*(int *)arg;
        return (__INT64_TYPE__)len;
    }

    int poll_it(void *arg, __INT64_TYPE__ timeout)
    {
        (void)timeout;
        ++*(int *)arg;
        return 0;
    }

    int hear(void *event, void *arg)
    {
        (void)event;
        ++*(int *)arg;
        return 0;
    }

    __attribute__((destructor)) static void gone(void)
    {
        if (on_unload) {
            on_unload();
        }
    }
)
