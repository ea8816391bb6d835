/*
 * The static tracepoints, as a tracer sees them: found by the notes of the ELF file that has the library
 * in it, fired by a breakpoint on their nop. The tracer is this program itself.
 */
#include "host.h"

#if defined(__x86_64__) && defined(__linux__)

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>

enum { PROBES = 6, ARGS = 6, HITS = 128 };

/* What the notes have to say: each of these once, and nothing else. */
static const struct {
    const char *name;
    int args;
} expected[PROBES] = {{"phase_begin", 5}, {"phase_end", 5}, {"overrun", 6},
                      {"recovery", 3},    {"leak", 5},      {"late_call", 2}};

enum { PHASE_BEGIN, PHASE_END, OVERRUN, RECOVERY, LEAK, LATE_CALL };

typedef struct probe {
    unsigned char *nop;
    int notes;
    int args;
    int where[ARGS]; /* registers, as ucontext numbers them */
} probe;

static probe probes[PROBES];
static int unknown_notes;

typedef struct hit {
    int probe;
    uint64_t args[ARGS];
    char name[48]; /* of a phase */
    char text[96];
} hit;

static hit hits[HITS];
static atomic_int hit_count; /* hits that are written down whole */

static int register_of(const char *name, size_t len)
{
    static const struct {
        const char *name;
        int number;
    } registers[] = {{"rax", REG_RAX}, {"rbx", REG_RBX}, {"rcx", REG_RCX}, {"rdx", REG_RDX},
                     {"rsi", REG_RSI}, {"rdi", REG_RDI}, {"rbp", REG_RBP}, {"rsp", REG_RSP},
                     {"r8", REG_R8},   {"r9", REG_R9},   {"r10", REG_R10}, {"r11", REG_R11},
                     {"r12", REG_R12}, {"r13", REG_R13}, {"r14", REG_R14}, {"r15", REG_R15}};
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++) {
        if (strlen(registers[i].name) == len && memcmp(registers[i].name, name, len) == 0) {
            return registers[i].number;
        }
    }
    return -1;
}

/* `-8@%rax -8@%rcx`: eight bytes, signed, in these registers. */
static void read_args(probe *p, const char *text)
{
    p->args = 0;
    while (*text != '\0') {
        size_t len;
        NEED(p->args < ARGS);
        NEED(strncmp(text, "-8@%", 4) == 0);
        text += 4;
        len = strcspn(text, " ");
        NEED((p->where[p->args++] = register_of(text, len)) >= 0);
        text += len;
        text += strspn(text, " ");
    }
}

/* The description of a note: three addresses, then provider, name and arguments. */
static void read_note(const char *description, uint64_t base, uint64_t bias)
{
    uint64_t addresses[3];
    const char *provider = description + sizeof addresses, *name = provider + strlen(provider) + 1;
    memcpy(addresses, description, sizeof addresses);
    for (int i = 0; i < PROBES; i++) {
        if (strcmp(provider, "rtfinalize") == 0 && strcmp(name, expected[i].name) == 0) {
            probes[i].notes++;
            probes[i].nop = (unsigned char *)(uintptr_t)(addresses[0] + base - addresses[1] + bias);
            read_args(&probes[i], name + strlen(name) + 1);
            return;
        }
    }
    unknown_notes++;
}

/* Reads the notes of the file that the library was loaded from: the shared one, or this program. */
static void read_notes(void)
{
    rt_status (*function)(struct rt_runtime *, const struct rt_finalize_options *, struct rt_report **) =
        rt_finalize;
    void *address;
    Dl_info info;
    struct link_map *map = NULL;
    struct stat stat;
    const char *file, *names;
    const Elf64_Ehdr *header;
    const Elf64_Shdr *sections, *notes = NULL;
    uint64_t base = 0;
    size_t at = 0;
    int fd;
    memcpy(&address, &function, sizeof address);
    NEED(dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0);
    fd = open(map->l_name[0] != '\0' ? map->l_name : "/proc/self/exe", O_RDONLY);
    NEED(fd >= 0 && fstat(fd, &stat) == 0);
    file = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    NEED(file != MAP_FAILED);
    close(fd);
    header = (const Elf64_Ehdr *)file;
    sections = (const Elf64_Shdr *)(file + header->e_shoff);
    names = file + sections[header->e_shstrndx].sh_offset;
    for (int i = 0; i < header->e_shnum; i++) {
        if (strcmp(names + sections[i].sh_name, ".note.stapsdt") == 0) {
            notes = &sections[i];
        } else if (strcmp(names + sections[i].sh_name, ".stapsdt.base") == 0) {
            base = sections[i].sh_addr;
        }
    }
    NEED(notes != NULL && base != 0);
    while (at < notes->sh_size) {
        const Elf64_Nhdr *note = (const Elf64_Nhdr *)(file + notes->sh_offset + at);
        const char *owner = (const char *)(note + 1);
        NEED(note->n_type == 3 && strcmp(owner, "stapsdt") == 0);
        read_note(owner + ((note->n_namesz + 3) & ~3u), base, map->l_addr);
        at += sizeof *note + ((note->n_namesz + 3) & ~3u) + ((note->n_descsz + 3) & ~3u);
    }
    munmap((void *)(uintptr_t)file, (size_t)stat.st_size);
}

static void copy_text(char *to, size_t room, uint64_t from, size_t len)
{
    len = len < room - 1 ? len : room - 1;
    memcpy(to, (const void *)(uintptr_t)from, len);
    to[len] = '\0';
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *nop = (const unsigned char *)(uintptr_t)registers[REG_RIP] - 1;
    (void)number;
    (void)info;
    for (int i = 0; i < PROBES; i++) {
        hit *h = &hits[hit_count];
        if (probes[i].nop != nop || hit_count == HITS) {
            continue;
        }
        h->probe = i;
        for (int arg = 0; arg < probes[i].args; arg++) {
            h->args[arg] = (uint64_t)registers[probes[i].where[arg]];
        }
        if (i <= OVERRUN) { /* a static string with its NUL */
            copy_text(h->name, sizeof h->name, h->args[2],
                      strlen((const char *)(uintptr_t)h->args[2]));
        }
        if (i == PHASE_BEGIN || i == OVERRUN) {
            copy_text(h->text, sizeof h->text, h->args[3], h->args[4]);
        } else if (i == LEAK) {
            copy_text(h->text, sizeof h->text, h->args[2], h->args[3]);
        }
        atomic_fetch_add(&hit_count, 1);
        return; /* to the byte after the breakpoint, as after the nop */
    }
    signal(SIGTRAP, SIG_DFL);
}

/* Puts breakpoints on the probes that this test wants to see. */
static void trace(int first, int last)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    NEED(sigaction(SIGTRAP, &action, NULL) == 0);
    for (int i = first; i <= last; i++) {
        uintptr_t page = (uintptr_t)probes[i].nop & ~(uintptr_t)4095;
        NEED(*probes[i].nop == 0x90);
        NEED(mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
        *probes[i].nop = 0xcc;
        NEED(mprotect((void *)page, 4096, PROT_READ | PROT_EXEC) == 0);
    }
}

static void each_probe_has_one_note_with_its_arguments_and_there_are_no_others(void)
{
    for (int i = 0; i < PROBES; i++) {
        CHECK_EQ(probes[i].notes, 1);
        CHECK_EQ(probes[i].args, expected[i].args);
    }
    CHECK_EQ(unknown_notes, 0);
}

static void phases_begin_and_end_in_their_order(void)
{
    rt_runtime *runtime = runtime_new("traced");
    int64_t id = rt_runtime_id(runtime);
    trace(PHASE_BEGIN, PHASE_END);
    CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
    CHECK_EQ(hit_count, 28);
    for (int i = 0; i < hit_count; i++) {
        const hit *h = &hits[i];
        uint32_t phase = (uint32_t)i / 2 + 1;
        CHECK_EQ(h->probe, i % 2 == 0 ? PHASE_BEGIN : PHASE_END);
        CHECK_EQ(h->args[0], id);
        CHECK_EQ(h->args[1], phase);
        CHECK(strcmp(h->name, rt_phase_name(phase)) == 0);
        if (i % 2 == 0) {
            CHECK(strcmp(h->text, "traced") == 0);
        }
    }
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void the_end_of_a_phase_tells_its_work(void)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(rt_exit_function(NULL, NULL, nothing, NULL, NULL), RT_OK);
    }
    trace(PHASE_END, PHASE_END);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK(hit_count > 0);
    CHECK_EQ(hits[hit_count - 1].args[1], RT_PHASE_EXIT_FUNCTIONS);
    CHECK_EQ(hits[hit_count - 1].args[3], 3);
}

/* Returns once it was told as an overrun: while it runs, not afterwards. */
static int run_until_told(void *arg)
{
    (void)arg;
    while (atomic_load(&hit_count) == 0) {
        usleep(1000);
    }
    return 0;
}

static void a_callback_that_outlasts_its_phases_budget_is_an_overrun(void)
{
    int64_t began;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FINALIZE, 1000), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "slow", run_until_told, NULL, NULL),
             RT_OK);
    trace(OVERRUN, OVERRUN);
    began = now_us();
    rt_finalize_ex();
    CHECK(hit_count >= 1);
    CHECK_EQ(hits[0].args[0], 0);
    CHECK_EQ(hits[0].args[1], RT_PHASE_FINALIZE);
    CHECK(strcmp(hits[0].name, "finalize") == 0);
    CHECK(strcmp(hits[0].text, "slow") == 0);
    CHECK((int64_t)hits[0].args[5] <= now_us() - began);
}

static event detached = EVENT_INIT, attached = EVENT_INIT;

static void *stay_attached(void *arg)
{
    rt_thread *thread = attach(NULL, "stays", 0, RT_POLICY_ERROR);
    (void)arg;
    event_set(&attached);
    event_wait(&detached);
    rt_thread_detach(thread);
    return NULL;
}

static void what_is_waited_for_too_long_is_an_overrun(void)
{
    rt_finalize_options options = options_with_deadline(20000);
    pthread_t thread = thread_start(stay_attached, NULL);
    event_wait(&attached);
    trace(OVERRUN, OVERRUN);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    CHECK(hit_count >= 1);
    CHECK_EQ(hits[0].args[1], RT_PHASE_THREADS);
    CHECK(strcmp(hits[0].text, "stays") == 0);
    event_set(&detached);
    pthread_join(thread, NULL);
}

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;

static void *take_it_along(void *arg)
{
    (void)arg;
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    return NULL;
}

static void a_lock_that_is_taken_over_is_a_recovery(void)
{
    NEED(pthread_join(thread_start(take_it_along, NULL), NULL) == 0);
    trace(RECOVERY, RECOVERY);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_RECOVERED);
    CHECK_EQ(hit_count, 1);
    CHECK_EQ(hits[0].args[0], 0);
    CHECK_EQ(hits[0].args[1], (intptr_t)&lock);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
}

static int pending(void *arg, int64_t timeout_us)
{
    (void)arg;
    (void)timeout_us;
    return 1;
}

static void an_entry_in_the_ledger_is_a_leak(void)
{
    rt_overlapped_callbacks callbacks;
    rt_overlapped *operation = NULL;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.wait = pending;
    callbacks.bytes = 4096;
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "stuck", &operation), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_OVERLAPPED, 1000), RT_OK);
    trace(LEAK, LEAK);
    rt_finalize_ex();
    CHECK_EQ(hit_count, 1);
    CHECK_EQ(hits[0].args[0], 0);
    CHECK_EQ(hits[0].args[1], RT_LEAK_OVERLAPPED);
    CHECK(strcmp(hits[0].text, "stuck") == 0);
    CHECK_EQ(hits[0].args[4], 4096);
}

static void each_late_call_is_counted(void)
{
    CHECK_EQ(rt_finalize_ex(), 0);
    trace(LATE_CALL, LATE_CALL);
    CHECK_EQ(rt_atexit(NULL, NULL, nothing, NULL, NULL), RT_ERR_FINALIZING);
    CHECK_EQ(rt_pending_add(NULL, NULL, nothing, NULL, NULL), RT_ERR_FINALIZING);
    CHECK_EQ(hit_count, 2);
    CHECK_EQ(hits[0].args[0], 0);
    CHECK_EQ(hits[0].args[1], 1);
    CHECK_EQ(hits[1].args[1], 2);
}

int main(void)
{
    read_notes();
    RUN(each_probe_has_one_note_with_its_arguments_and_there_are_no_others);
    RUN(phases_begin_and_end_in_their_order);
    RUN(the_end_of_a_phase_tells_its_work);
    RUN(a_callback_that_outlasts_its_phases_budget_is_an_overrun);
    RUN(what_is_waited_for_too_long_is_an_overrun);
    RUN(a_lock_that_is_taken_over_is_a_recovery);
    RUN(an_entry_in_the_ledger_is_a_leak);
    RUN(each_late_call_is_counted);
    return check_done();
}

#else

int main(void)
{
    printf("skipped probes.c: breakpoints are written for Linux on x86-64 only\n");
    return 0;
}

#endif
