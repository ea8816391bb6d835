/*
 * A plug-in registers callbacks and is unloaded without taking them back: they are not called, and
 * the report says so. The plug-in is compiled when the tests begin, from plugin.h.
 */
#include "host.h"
#ifndef _WIN32
#include <dlfcn.h>
#include <sys/mman.h>
#endif

#ifdef _WIN32

/* There is no compiler: it lies beside this program. */
static const char path[] = "plugin.dll";
static HMODULE plugin;

static void *symbol(const char *name)
{
    FARPROC found = GetProcAddress(plugin, name);
    void *address;
    NEED(found != NULL);
    memcpy(&address, &found, sizeof address);
    return address;
}

static void load(void)
{
    NEED((plugin = LoadLibraryA(path)) != NULL);
}

static void unload(void)
{
    NEED(FreeLibrary(plugin));
    NEED(GetModuleHandleA(path) == NULL);
}

#define BY "(FreeLibrary)"

#else

#define PLUGIN(...) static const char source[] = #__VA_ARGS__;
#include "plugin.h"

static char directory[] = "/tmp/rtfinalize-plugin-XXXXXX";
static char path[64];

static int compile(void)
{
    const char *compiler = getenv("CC");
    char file[64], command[512];
    FILE *out;
    int failed;
    NEED(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/plugin.so", directory);
    snprintf(file, sizeof file, "%s/plugin.c", directory);
    NEED((out = fopen(file, "w")) != NULL);
    NEED(fputs(source, out) >= 0);
    NEED(fclose(out) == 0);
    snprintf(command, sizeof command, "%s -shared -fPIC -o %s %s",
             compiler != NULL ? compiler : "cc", path, file);
    failed = system(command);
    unlink(file);
    return failed == 0;
}

static void clean_up(void)
{
    unlink(path);
    rmdir(directory);
}

static void *plugin;

static void *symbol(const char *name)
{
    void *found = dlsym(plugin, name);
    NEED(found != NULL);
    return found;
}

static void load(void)
{
    NEED((plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL)) != NULL);
}

static void unload(void)
{
    NEED(dlclose(plugin) == 0);
    NEED(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL);
}

#define BY "(dlclose)"

#endif

#define UNLOADED "not called: its code was unloaded " BY

static int touched;

static rt_callback callback(const char *name)
{
    void *found = symbol(name);
    rt_callback function;
    memcpy(&function, &found, sizeof function);
    return function;
}

static int count(void *arg)
{
    ++*(int *)arg;
    return 0;
}

/* Finalizes; nothing of the plug-in was called, and this is what the report says of it, as JSON. */
static void check_report_says(const char *says)
{
    rt_report *report = NULL;
    size_t needed = 0;
    char *json;
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(touched, 0);
    rt_report_format(report, RT_REPORT_JSON, NULL, 0, &needed);
    NEED((json = malloc(needed + 1)) != NULL);
    CHECK_EQ(rt_report_format(report, RT_REPORT_JSON, json, needed, NULL), RT_OK);
    if (strstr(json, says) == NULL) {
        fprintf(stderr, "the report does not say '%s':\n%s\n", says, json);
        CHECK(!"the report says it");
    }
    free(json);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* The report lists the failure of a callback called `name`. */
static void check_left_behind(const char *name, const char *which)
{
    char says[160];
    snprintf(says, sizeof says, "\"name\":\"%s\",\"how\":\"%s" UNLOADED "\"", name, which);
    check_report_says(says);
}

static void an_at_exit_callback_of_an_unloaded_plugin_is_not_called_and_the_others_are(void)
{
    int called = 0;
    load();
    CHECK_EQ(rt_atexit(NULL, "host", count, &called, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "host", count, &called, NULL), RT_OK);
    unload();
    check_left_behind("plugin", "");
    CHECK_EQ(called, 2);
}

static void nor_is_its_exit_function(void)
{
    load();
    CHECK_EQ(rt_exit_function(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    unload();
    check_left_behind("plugin", "");
}

static void nor_is_its_pending_call(void)
{
    load();
    CHECK_EQ(rt_pending_add(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    unload();
    check_left_behind("plugin", "");
}

static void nor_is_its_pending_call_before_the_finalization(void)
{
    size_t made = 0;
    load();
    CHECK_EQ(rt_pending_add(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    unload();
    REFUSED(rt_pending_run(NULL, &made), RT_ERR_CALLBACK);
    CHECK(strstr(rt_last_error(), UNLOADED) != NULL);
    CHECK_EQ(made, 1);
    CHECK_EQ(touched, 0);
}

static void nor_is_its_handler(void)
{
    load();
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "plugin", callback("touch"), &touched,
                                  NULL), RT_OK);
    unload();
    check_left_behind("plugin", "");
}

static void nor_is_the_deleter_of_its_thread_state(void)
{
    rt_thread_options options;
    rt_thread *thread = NULL;
    load();
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "plugin";
    options.delete_state = callback("touch");
    options.state = &touched;
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_OK);
    unload();
    check_report_says(UNLOADED);
}

static void of_its_object_neither_finalize_nor_dealloc_is_called(void)
{
    rt_object object;
    load();
    CHECK_EQ(rt_object_track(NULL, "plugin", callback("touch"), callback("dealloc"), &touched, &object),
             RT_OK);
    unload();
    check_left_behind("plugin", "finalize ");
}

static void nor_the_hosts_own_finalize_of_an_object_whose_dealloc_is_gone(void)
{
    rt_object object;
    load();
    CHECK_EQ(rt_object_track(NULL, "plugin", count, callback("dealloc"), &touched, &object), RT_OK);
    unload();
    check_left_behind("plugin", "finalize ");
}

static void an_object_disposed_of_late_is_gone_without_a_call(void)
{
    rt_object object;
    load();
    CHECK_EQ(rt_object_track(NULL, "plugin", callback("touch"), callback("dealloc"), &touched, &object),
             RT_OK);
    unload();
    REFUSED(rt_object_dispose(NULL, object), RT_ERR_CALLBACK);
    CHECK(strstr(rt_last_error(), UNLOADED) != NULL);
    CHECK_EQ(touched, 0);
    CHECK_EQ(rt_object_untrack(NULL, object), RT_ERR_HANDLE);
}

static void a_writer_over_its_callbacks_keeps_its_bytes_and_says_how_many(void)
{
    void *take;
    rt_writer_callbacks callbacks;
    rt_writer *writer = NULL;
    rt_writer_options options;
    load();
    take = symbol("take");
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    memcpy(&callbacks.write, &take, sizeof take);
    callbacks.arg = &touched;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "plugin";
    CHECK_EQ(rt_writer_open_callbacks(NULL, &callbacks, &options, &writer), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "five!", 5), RT_OK);
    unload();
    REFUSED(rt_writer_flush(writer, -1), RT_ERR_CALLBACK);
    CHECK(strstr(rt_last_error(), UNLOADED) != NULL);
    check_report_says("callback " UNLOADED);
}

static void an_operation_over_its_callbacks_is_leaked(void)
{
    void *poll_it;
    rt_overlapped_callbacks callbacks;
    rt_overlapped *operation = NULL;
    load();
    poll_it = symbol("poll_it");
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.cancel = callback("touch");
    memcpy(&callbacks.wait, &poll_it, sizeof poll_it);
    callbacks.free = callback("touch");
    callbacks.arg = &touched;
    callbacks.bytes = 4096;
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "plugin", &operation), RT_OK);
    unload();
    REFUSED(rt_overlapped_dealloc(operation), RT_ERR_IN_FLIGHT);
    CHECK(strstr(rt_last_error(), "unloaded " BY) != NULL);
    check_left_behind("plugin", "");
}

static void its_listener_is_told_nothing(void)
{
    void *hear;
    rt_finalize_options options = options_none();
    load();
    hear = symbol("hear");
    memcpy(&options.on_event, &hear, sizeof hear);
    options.event_arg = &touched;
    CHECK_EQ(rt_runtime_set_options(NULL, &options), RT_OK);
    unload();
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(touched, 0);
}

static int unload_from_inside(void *arg)
{
    (void)arg;
    unload();
    return 0;
}

static void a_plugin_may_go_while_the_callbacks_run(void)
{
    int called = 0;
    load();
    CHECK_EQ(rt_atexit(NULL, "host", count, &called, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "closer", unload_from_inside, NULL, NULL), RT_OK);
    check_left_behind("plugin", "");
    CHECK_EQ(called, 1);
}

static void unregister_all(void)
{
    size_t removed = 0;
    CHECK_EQ(rt_atexit_unregister(NULL, callback("touch"), NULL, &removed), RT_OK);
    CHECK_EQ(removed, 1);
}

static void one_that_unregisters_in_its_destructor_leaves_nothing_to_report(void)
{
    void (*hook)(void) = unregister_all;
    load();
    memcpy(symbol("on_unload"), &hook, sizeof hook);
    CHECK_EQ(rt_atexit(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    unload();
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(touched, 0);
}

static void a_plugin_that_is_still_there_is_called(void)
{
    load();
    CHECK_EQ(rt_atexit(NULL, "plugin", callback("touch"), &touched, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(touched, 1);
}

#if defined(__x86_64__) && defined(_WIN32)
/* incl (%rcx); xor %eax, %eax; ret */
static const unsigned char increment[] = {0xff, 0x01, 0x31, 0xc0, 0xc3};
#elif defined(__x86_64__)
/* incl (%rdi); xor %eax, %eax; ret */
static const unsigned char increment[] = {0xff, 0x07, 0x31, 0xc0, 0xc3};
#elif defined(__aarch64__)
/* ldr w1, [x0]; add w1, w1, #1; str w1, [x0]; mov w0, #0; ret */
static const unsigned int increment[] = {0xb9400001, 0x11000421, 0xb9000001, 0x52800000, 0xd65f03c0};
#endif

#if defined(__x86_64__) || defined(__aarch64__)
/* Memory of its own for code, which can be written, run, or neither. */
#ifdef _WIN32
static void *page_new(void)
{
    return VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

static int page_protect(void *page, int runs)
{
    DWORD before;
    return VirtualProtect(page, 4096, runs ? PAGE_EXECUTE_READ : PAGE_READWRITE, &before);
}

static int page_free(void *page)
{
    return VirtualFree(page, 0, MEM_RELEASE);
}
#else
static void *page_new(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED ? page : NULL;
}

static int page_protect(void *page, int runs)
{
    return mprotect(page, 4096, PROT_READ | (runs ? PROT_EXEC : PROT_WRITE)) == 0;
}

static int page_free(void *page)
{
    return munmap(page, 4096) == 0;
}
#endif

/* A function made at run time, as a JIT or libffi does, on a page of its own. */
static void *made_at_run_time(rt_callback *function)
{
    void *page = page_new();
    NEED(page != NULL);
    memcpy(page, increment, sizeof increment);
    NEED(page_protect(page, 1));
    __builtin___clear_cache((char *)page, (char *)page + sizeof increment);
    memcpy(function, &page, sizeof page);
    return page;
}

static void a_function_made_at_run_time_is_called(void)
{
    rt_callback made;
    made_at_run_time(&made);
    CHECK_EQ(rt_atexit(NULL, "made", made, &touched, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(touched, 1);
}

static void one_whose_page_was_unmapped_is_not(void)
{
    rt_callback made;
    void *page = made_at_run_time(&made);
    CHECK_EQ(rt_atexit(NULL, "made", made, &touched, NULL), RT_OK);
    NEED(page_free(page));
    check_left_behind("made", "");
}

static void nor_one_whose_page_holds_data_now(void)
{
    rt_callback made;
    void *page = made_at_run_time(&made);
    CHECK_EQ(rt_atexit(NULL, "made", made, &touched, NULL), RT_OK);
    NEED(page_protect(page, 0));
    check_left_behind("made", "");
}
#endif

int main(void)
{
#ifndef _WIN32
    if (dlsym(RTLD_DEFAULT, "_dl_find_object") == NULL) {
        printf("skipped plugin.c: this C library cannot say what is loaded without a lock\n");
        return check_done();
    }
    if (!compile()) {
        clean_up();
        printf("FAILED plugin.c: the compiler makes no plug-in\n");
        return 1;
    }
#endif
    RUN(an_at_exit_callback_of_an_unloaded_plugin_is_not_called_and_the_others_are);
    RUN(nor_is_its_exit_function);
    RUN(nor_is_its_pending_call);
    RUN(nor_is_its_pending_call_before_the_finalization);
    RUN(nor_is_its_handler);
    RUN(nor_is_the_deleter_of_its_thread_state);
    RUN(of_its_object_neither_finalize_nor_dealloc_is_called);
    RUN(nor_the_hosts_own_finalize_of_an_object_whose_dealloc_is_gone);
    RUN(an_object_disposed_of_late_is_gone_without_a_call);
    RUN(a_writer_over_its_callbacks_keeps_its_bytes_and_says_how_many);
    RUN(an_operation_over_its_callbacks_is_leaked);
    RUN(its_listener_is_told_nothing);
    RUN(a_plugin_may_go_while_the_callbacks_run);
    RUN(one_that_unregisters_in_its_destructor_leaves_nothing_to_report);
    RUN(a_plugin_that_is_still_there_is_called);
#if defined(__x86_64__) || defined(__aarch64__)
    RUN(a_function_made_at_run_time_is_called);
    RUN(one_whose_page_was_unmapped_is_not);
    RUN(nor_one_whose_page_holds_data_now);
#else
    printf("skipped functions made at run time: not written for this processor\n");
#endif
#ifndef _WIN32
    clean_up();
#endif
    return check_done();
}
