/*
 * A host that finalizes with a thousand operations in every state a kernel can have them in, ten times in a
 * row: nothing that the kernel may still write to is freed, and the ledger has exactly that.
 */
#include "pending.h"

enum { OPERATIONS = 1000, ROUNDS = 10, ROOM = 64, CANARIES = 20000, MUCH = 1 << 16 };

/* How an operation stands when the runtime is finalized. */
enum state {
    READ,           /* a read that waits for data */
    READ_OWNED,     /* the same, with the handle in the library's hands */
    READ_KEPT,      /* the same, and it must not be cancelled */
    WRITE,          /* a write that waits for room */
    WRITE_KEPT,     /* the same, and it must not be cancelled */
    ENDED,          /* it has ended, and nobody has looked */
    CANCELLED,      /* it was cancelled by the host */
    THREAD_GONE,    /* the thread that issued it has exited */
    CONNECT,        /* nobody has connected */
    IN_PORT,        /* its handle belongs to a completion port */
    RACING,         /* data comes while the runtime finalizes */
    HOSTS,          /* the host's own OVERLAPPED and buffer, by callbacks, that cannot be cancelled */
    REFUSED_BEFORE, /* the host tried to free it while the runtime ran, and was refused */
    STATES
};

static int is_kept(enum state state)
{
    return state == READ_KEPT || state == WRITE_KEPT || state == HOSTS || state == REFUSED_BEFORE;
}

/* What the host of HOSTS lends the kernel, with guards around it. */
typedef struct lent {
    unsigned char before[ROOM];
    OVERLAPPED overlapped;
    unsigned char between[ROOM];
    char buffer[ROOM];
    unsigned char behind[ROOM];
} lent;

typedef struct operation {
    enum state state;
    char name[32];
    duplex pipe;
    rt_overlapped *op; /* NULL once the host has let go of it */
    OVERLAPPED *at;
    HANDLE event;
    lent *lent;
} operation;

static char much[MUCH];
static rt_runtime *runtime;
static LONG freed_by_callback;

static int wait_for_lent(void *arg, int64_t timeout_us)
{
    lent *l = (lent *)arg;
    DWORD wait_ms = timeout_us < 0 ? INFINITE : (DWORD)(timeout_us / 1000);
    return WaitForSingleObject(l->overlapped.hEvent, wait_ms) == WAIT_OBJECT_0 ? 0 : 1;
}

static int free_lent(void *arg)
{
    (void)arg;
    InterlockedIncrement(&freed_by_callback);
    return 0;
}

static void begin_hosts_own(operation *o)
{
    rt_overlapped_callbacks callbacks;
    lent *l = (lent *)malloc(sizeof *l);
    NEED(l != NULL);
    memset(l, 0xA5, sizeof *l);
    memset(&l->overlapped, 0, sizeof l->overlapped);
    l->overlapped.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    o->lent = l;
    o->at = &l->overlapped;
    NEED(!ReadFile(o->pipe.server, l->buffer, ROOM, NULL, &l->overlapped));
    NEED(GetLastError() == ERROR_IO_PENDING);
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.wait = wait_for_lent;
    callbacks.free = free_lent;
    callbacks.arg = l;
    callbacks.bytes = ROOM;
    CHECK_EQ(rt_overlapped_new(runtime, &callbacks, o->name, &o->op), RT_OK);
}

static void begin_kernels(operation *o, uint32_t kind, uint32_t flags)
{
    rt_overlapped_request r = request(kind, o->pipe.server, flags, kind == RT_OVERLAPPED_WRITE ? MUCH : ROOM);
    if (kind == RT_OVERLAPPED_CONNECT) {
        r.size = 0;
    }
    r.data = kind == RT_OVERLAPPED_WRITE ? much : NULL;
    o->op = start(runtime, &r, o->name);
}

static void *begin_on_a_thread(void *arg)
{
    begin_kernels((operation *)arg, RT_OVERLAPPED_READ, 0);
    return NULL;
}

static void begin(operation *o, enum state state, int number, HANDLE port)
{
    memset(o, 0, sizeof *o);
    o->state = state;
    snprintf(o->name, sizeof o->name, "%s-%d", is_kept(state) ? "kept" : "let-go", number);
    if (state == CONNECT) {
        char name[100];
        o->pipe.server = server_end(name, sizeof name, PIPE_TYPE_BYTE);
    } else {
        o->pipe = duplex_open();
    }
    switch (state) {
    case WRITE:
    case WRITE_KEPT:
        begin_kernels(o, RT_OVERLAPPED_WRITE, state == WRITE_KEPT ? RT_OVERLAPPED_NO_CANCEL : 0);
        break;
    case CONNECT:
        begin_kernels(o, RT_OVERLAPPED_CONNECT, 0);
        break;
    case HOSTS:
        begin_hosts_own(o);
        break;
    case THREAD_GONE:
        pthread_join(thread_start(begin_on_a_thread, o), NULL);
        break;
    case READ_KEPT:
    case REFUSED_BEFORE:
        begin_kernels(o, RT_OVERLAPPED_READ, RT_OVERLAPPED_NO_CANCEL);
        break;
    default:
        if (state == IN_PORT) {
            NEED(CreateIoCompletionPort(o->pipe.server, port, (ULONG_PTR)number, 0) == port);
        }
        begin_kernels(o, RT_OVERLAPPED_READ, state == READ_OWNED ? RT_OVERLAPPED_OWNS_HANDLE : 0);
        break;
    }
    if (o->lent == NULL) {
        void *at = NULL;
        CHECK_EQ(rt_overlapped_address(o->op, &at), RT_OK);
        o->at = (OVERLAPPED *)at;
    }
    o->event = o->at->hEvent;
    if (state == ENDED) {
        put(o->pipe.client, "ended", 5);
    } else if (state == CANCELLED) {
        rt_overlapped_cancel(o->op);
    } else if (state == REFUSED_BEFORE && number < STATES) {
        /* Once a round: it takes its time. */
        CHECK_EQ(rt_overlapped_dealloc(o->op), RT_ERR_IN_FLIGHT);
    }
}

static void *let_data_come(void *arg)
{
    operation *all = (operation *)arg;
    int i;
    for (i = 0; i < OPERATIONS; i++) {
        if (all[i].state == RACING) {
            put(all[i].pipe.client, "raced", 5);
        }
    }
    return NULL;
}

static void check_ledger(const rt_report *report, const operation *all)
{
    uint64_t i, kept = 0;
    for (i = 0; i < OPERATIONS; i++) {
        kept += is_kept(all[i].state);
    }
    CHECK_EQ(leaks_in(report, RT_LEAK_OVERLAPPED), kept);
    CHECK_EQ(summary_of(report).leaks, kept);
    for (i = 0; i < summary_of(report).leaks; i++) {
        rt_report_leak leak;
        memset(&leak, 0, sizeof leak);
        leak.struct_size = sizeof leak;
        CHECK_EQ(rt_report_get_leak(report, i, &leak), RT_OK);
        CHECK(strncmp(leak.name, "kept-", 5) == 0);
        CHECK(is_kept(all[atoi(leak.name + 5)].state));
        CHECK(leak.bytes >= ROOM);
    }
}

static int is_filled(const unsigned char *bytes, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++) {
        if (bytes[i] != 0xA5) {
            return 0;
        }
    }
    return 1;
}

/* Blocks of all the sizes that an operation has, in the heap the library uses: they get what was freed. */
typedef struct canaries {
    unsigned char *blocks[CANARIES];
} canaries;

static size_t canary_size(int i)
{
    static const size_t sizes[] = {16, 32, 48, ROOM, 96, 128, 160, 192, 224, 256, 320, 384};
    return sizes[(size_t)i % (sizeof sizes / sizeof *sizes)];
}

static void canaries_set(canaries *c)
{
    int i;
    for (i = 0; i < CANARIES; i++) {
        c->blocks[i] = (unsigned char *)HeapAlloc(GetProcessHeap(), 0, canary_size(i));
        NEED(c->blocks[i] != NULL);
        memset(c->blocks[i], 0xA5, canary_size(i));
    }
}

static void canaries_check_and_free(canaries *c)
{
    int i;
    for (i = 0; i < CANARIES; i++) {
        CHECK(is_filled(c->blocks[i], canary_size(i)));
        HeapFree(GetProcessHeap(), 0, c->blocks[i]);
    }
}

/* Leaked, or freed. */
static void let_go(operation *o)
{
    CHECK_EQ(rt_overlapped_dealloc(o->op), is_kept(o->state) ? RT_LEAKED : RT_OK);
    o->op = NULL;
}

/* The kernel gets to its end with what was leaked, whether or not the host has let go of it. */
static void complete_late(operation *o)
{
    DWORD moved = (DWORD)strlen(o->name);
    if (o->state == WRITE_KEPT) {
        char *room = (char *)malloc(MUCH);
        DWORD got = 0;
        NEED(room != NULL);
        for (moved = 0; moved < MUCH && ReadFile(o->pipe.client, room, MUCH, &got, NULL) && got > 0;) {
            moved += got;
        }
        free(room);
        CHECK_EQ(moved, MUCH);
    } else {
        put(o->pipe.client, o->name, moved);
    }
    CHECK_EQ(WaitForSingleObject(o->event, 30000), WAIT_OBJECT_0);
    CHECK_EQ(o->at->Internal, 0);
    CHECK_EQ(o->at->InternalHigh, moved);
    if (o->lent != NULL) {
        lent *l = o->lent;
        CHECK(memcmp(l->buffer, o->name, moved) == 0);
        CHECK(is_filled(l->before, ROOM) && is_filled(l->between, ROOM) && is_filled(l->behind, ROOM));
    } else if (o->op != NULL && o->state != WRITE_KEPT) {
        check_data(o->op, o->name, moved);
    }
}

static void finalize_with_a_thousand(canaries *c)
{
    static operation all[OPERATIONS];
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    rt_report *report = NULL;
    pthread_t writer;
    int i;
    NEED(port != NULL);
    runtime = runtime_new("host");
    freed_by_callback = 0;
    for (i = 0; i < OPERATIONS; i++) {
        begin(&all[i], (enum state)(i % STATES), i, port);
    }
    writer = thread_start(let_data_come, all);
    rt_finalize(runtime, NULL, &report);
    pthread_join(writer, NULL);
    NEED(report != NULL);
    check_ledger(report, all);
    for (i = 0; i < OPERATIONS; i += 2) {
        let_go(&all[i]);
    }
    canaries_set(c);
    for (i = 0; i < OPERATIONS; i++) {
        if (is_kept(all[i].state)) {
            complete_late(&all[i]);
        }
    }
    canaries_check_and_free(c);
    CHECK_EQ(freed_by_callback, 0);
    for (i = 0; i < OPERATIONS; i++) {
        if (all[i].op != NULL) {
            let_go(&all[i]);
        }
        if (all[i].state != READ_OWNED) {
            CloseHandle(all[i].pipe.server);
        }
        if (all[i].pipe.client != NULL) {
            CloseHandle(all[i].pipe.client);
        }
    }
    CloseHandle(port);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static void nothing_is_freed_under_the_kernel_and_the_ledger_is_exact(void)
{
    static canaries c;
    int round;
    for (round = 0; round < ROUNDS && !check_failed_here; round++) {
        finalize_with_a_thousand(&c);
    }
}

int main(void)
{
    RUN(nothing_is_freed_under_the_kernel_and_the_ledger_is_exact);
    return check_done();
}
