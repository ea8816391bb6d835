/*
 * A host as a distribution builds one, with nothing but what `make install` put in place. It prints the
 * version three ways (the header's numbers, the header's text, the library's text) and fails unless the
 * inline flag moves with the library, however the program is linked: the flag may live in the
 * executable (a copy relocation), in the library, or be reached from a plug-in.
 */
#include <rtfinalize.h>
#include <stdio.h>

static int expect(const char *what, int actual, int expected)
{
    if (actual != expected) {
        fprintf(stderr, "%s is %d, expected %d\n", what, actual, expected);
        return 0;
    }
    return 1;
}

static int look(void *seen)
{
    *(int *)seen = rt_is_finalizing_inline();
    return 0;
}

/* Called by main, or by loader.c when this file is a plug-in. */
int consume(void)
{
    int seen = -1, good;
    printf("%d.%d.%d %s %s\n", RT_VERSION_MAJOR, RT_VERSION_MINOR, RT_VERSION_PATCH, RT_VERSION_STRING,
           rt_version_string());
    good = expect("the library's version", (int)rt_version(), RT_VERSION_NUMBER);
    good &= expect("the flag while running", rt_is_finalizing_inline(), 0);
    good &= expect("adding a handler",
                   rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "look", look, &seen, NULL), RT_OK);
    good &= expect("finalizing", rt_finalize_ex(), 0);
    good &= expect("the flag in a handler after the freeze", seen, 1);
    good &= expect("the flag after finalizing", rt_is_finalizing_inline(), 1);
    good &= expect("initialising again", rt_initialize(NULL), RT_OK);
    good &= expect("the flag in the second life", rt_is_finalizing_inline(), 0);
    return good ? 0 : 1;
}

int main(void)
{
    return consume();
}
