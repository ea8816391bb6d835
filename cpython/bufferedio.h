/*
 * Part of bufferedio.c: the lock of a buffered file, what its takeover must put right, and its last flush.
 *
 * The lock has its owner in it. When the owner was parked for good, the lock is taken over at once, and
 * `offer` says what the owner was doing with the raw file: so each byte is written once. When the owner is
 * stuck in a system call, the file is left alone and its bytes are counted.
 */

static void
rt_offer_begin(buffered *self, const char *start, Py_ssize_t len)
{
    int buffered_bytes = start >= self->buffer && start < self->buffer + self->buffer_size;
    if (!buffered_bytes && start != self->rt.next) {
        self->rt.taken = 0; /* another record */
    }
    self->rt.offered = len;
    if (buffered_bytes) {
        self->rt.offer = RT_OFFER_BUFFERED;
    }
    else {
        self->rt.offer = RT_OFFER_DIRECT;
        self->rt.next = start;
    }
    /* What a raw file in Python does with the bytes before its thread is parked nobody can know. */
    self->rt.is_plain = self->fast_closed_checks;
    if (self->rt.is_plain) {
        _PyRt_Offering = &self->lock;
    }
}

static void
rt_offer_end(buffered *self)
{
    uint32_t published;
    if (self->rt.is_plain) {
        _PyRt_Offering = NULL; /* the raw file may have refused before it came to write(2) */
        rt_buffered_lock_take_progress(&self->lock, &published);
    }
    self->rt.ended = self->rt.offer;
    self->rt.offer = RT_OFFER_NONE;
}

/* What came of the offer that ended. */
static void
rt_offer_taken(buffered *self, Py_ssize_t n)
{
    if (self->rt.ended == RT_OFFER_DIRECT && n > 0) {
        self->rt.taken += n;
        self->rt.next += n;
    }
}

/* ---- records of text files ---- */

/* A thread that left Python to wait could be parked before it is back, and the mutex with it. */
static void
rt_lock_records(buffered *self)
{
    PyMutex_LockFlags(&self->rt.records_mutex, _Py_LOCK_DONT_DETACH);
}

void
_PyRt_RecordBegins(PyObject *buffer, struct rt_record *record)
{
    buffered *self = (buffered *)buffer;
    rt_lock_records(self);
    record->other = self->rt.records;
    self->rt.records = record;
    PyMutex_Unlock(&self->rt.records_mutex);
}

void
_PyRt_RecordEnds(PyObject *buffer, struct rt_record *record)
{
    buffered *self = (buffered *)buffer;
    rt_lock_records(self);
    struct rt_record **link = &self->rt.records;
    while (*link != NULL && *link != record) {
        link = &(*link)->other;
    }
    if (*link != NULL) {
        *link = record->other;
    }
    PyMutex_Unlock(&self->rt.records_mutex);
}

/* The buffer has all of these bytes. Without a GIL the thread that brought them may be parked on its way
 * back, at the lock of the text file. */
static inline void
rt_arrived(buffered *self, const char *bytes)
{
    if (self->rt.records == NULL) {
        return;
    }
    rt_lock_records(self);
    for (struct rt_record *record = self->rt.records; record != NULL; record = record->other) {
        if (PyBytes_AS_STRING(record->bytes) == bytes) {
            record->has_arrived = 1;
        }
    }
    PyMutex_Unlock(&self->rt.records_mutex);
}

/* ---- the lock ---- */

/* The owner will never run again. Called with the lock held, which was its. */
static void
rt_recover(buffered *self)
{
    uint32_t published = 0;
    rt_buffered_lock_take_progress(&self->lock, &published);
    Py_ssize_t taken = self->rt.is_plain ? (Py_ssize_t)published : self->rt.offered;
    if (self->rt.offer == RT_OFFER_BUFFERED) {
        if (!self->rt.is_plain) {
            self->rt.unknown += taken;
        }
        self->write_pos += taken;
        self->raw_pos = self->write_pos;
        self->rt.recovered += self->write_end - self->write_pos;
    }
    else if (self->rt.offer == RT_OFFER_DIRECT) {
        if (!self->rt.is_plain) {
            self->rt.unknown += taken;
        }
        self->rt.taken += taken;
        self->rt.next += taken;
    }
    else if (VALID_WRITE_BUFFER(self)) {
        self->rt.recovered += self->write_end - self->write_pos;
    }
    /* For a text file, which still holds the record. */
    self->rt.orphan = self->rt.next;
    self->rt.orphan_taken = self->rt.taken;
    self->rt.offer = RT_OFFER_NONE;
    /* The owner may have moved the raw file: it is asked when it matters. */
    self->abs_pos = -1;
}

static int
rt_enter_busy(buffered *self, rt_status status)
{
    if (status == RT_ERR_TIMEOUT || status == RT_ERR_OWNER_BLOCKED) {
        int64_t patience_us = _PyRt_Patience();
        Py_BEGIN_ALLOW_THREADS
        status = patience_us < 0 ? rt_buffered_lock_acquire(&self->lock)
                                 : rt_buffered_lock_acquire_timed(&self->lock, patience_us);
        Py_END_ALLOW_THREADS
    }
    if (status == RT_RECOVERED) {
        rt_recover(self);
    }
    if (status >= 0) {
        return 1;
    }
    if (status == RT_ERR_REENTRANT) {
        PyErr_Format(PyExc_RuntimeError, "reentrant call inside %R", self);
    }
    else {
        char why[160];
        PyOS_snprintf(why, sizeof(why), "%s", rt_last_error());
        PyErr_Format(PyExc_RuntimeError, "could not acquire lock for %R: %s", self, why);
    }
    return 0;
}

static inline int
rt_enter(buffered *self)
{
    rt_status status = rt_buffered_lock_acquire_timed(&self->lock, 0);
    return status == RT_OK || rt_enter_busy(self, status);
}

#define ENTER_BUFFERED(self) rt_enter(self)
/* The record that was under way, if one was, is over: its memory may become another's. */
#define LEAVE_BUFFERED(self) \
    do { \
        (self)->rt.next = NULL; \
        rt_buffered_lock_release(&(self)->lock); \
    } while (0);

static Py_ssize_t
rt_held_back(buffered *self)
{
    return VALID_WRITE_BUFFER(self) ? (Py_ssize_t)(self->write_end - self->write_pos) : 0;
}

/* Enters what will not be written any more in the account. */
static void
rt_account(PyObject *object)
{
    buffered *self = (buffered *)object;
    rt_report_destination file = {.struct_size = sizeof file};
    if (self->rt.file.accounted || self->rt.file.is_parents || self->buffer == NULL) {
        return;
    }
    if (rt_held_back(self) == 0 && self->rt.offer == RT_OFFER_NONE && self->rt.unknown == 0) {
        return; /* whoever has the lock: there is nothing that a takeover could find */
    }
    /* The owner of a lock that cannot be had is outside Python: its file stands still. */
    int is_mine = rt_buffered_lock_acquire_timed(&self->lock, 0);
    if (is_mine == RT_RECOVERED) {
        rt_recover(self);
    }
    Py_ssize_t held_back = rt_held_back(self), in_flight = 0;
    if (is_mine < 0 && self->rt.offer == RT_OFFER_BUFFERED) {
        in_flight = self->rt.offered;
    }
    file.unwritten = (uint64_t)(held_back - in_flight);
    file.in_flight = (uint64_t)(in_flight + self->rt.unknown);
    file.recovered = (uint64_t)self->rt.recovered;
    file.accepted = file.unwritten + file.in_flight;
    file.reason = is_mine < 0 && is_mine != RT_ERR_REENTRANT ? rt_last_error() : "the file could not be flushed";
    if (file.accepted > 0) {
        _PyRt_NoteLost(&self->rt.file, NULL, &file);
    }
    if (is_mine >= 0) {
        LEAVE_BUFFERED(self)
    }
}

static int
rt_holds(PyObject *object)
{
    buffered *self = (buffered *)object;
    if (self->ok <= 0 || self->buffer == NULL || rt_held_back(self) == 0) {
        return 0;
    }
    return self->fast_closed_checks ? _PyRt_HOLDS : _PyRt_HOLDS_FOR_PYTHON;
}

_PyRt_File *
_PyRt_FileOfBuffer(PyObject *object)
{
    return &((buffered *)object)->rt.file;
}

static PyObject *_bufferedwriter_flush_unlocked(buffered *);

int
_PyRt_FlushBuffer(PyObject *object)
{
    buffered *self = (buffered *)object;
    if (!self->ok || self->detached || self->buffer == NULL || !VALID_WRITE_BUFFER(self)) {
        return 0;
    }
    if (!_PyRt_IsEnding() && self->fast_closed_checks) {
        return 0; /* it needs no Python: the flush after the freeze writes it, bounded */
    }
    if (!ENTER_BUFFERED(self)) {
        return -1;
    }
    PyObject *done = _bufferedwriter_flush_unlocked(self);
    LEAVE_BUFFERED(self)
    Py_XDECREF(done);
    if (done == NULL) {
        _PyRt_KeepName(&self->rt.file);
        return -1;
    }
    return !self->fast_closed_checks;
}

/* The parent's bytes are gone, and the file is this process's own. */
static inline void
rt_is_empty(buffered *self)
{
    self->rt.file.is_parents = 0;
}

/* The raw file is known. */
static void
rt_knows_raw(buffered *self)
{
    _PyRt_MayNeedPython(&self->rt.file, !self->fast_closed_checks);
}

/* The raw file is known. Its descriptor is asked for now: in need nobody can be asked. */
static void
rt_begin_writing(buffered *self)
{
    rt_knows_raw(self);
    self->rt.fd = self->fast_closed_checks ? PyObject_AsFileDescriptor(self->raw) : -1;
    if (self->rt.fd < 0) {
        PyErr_Clear();
    }
}

static Py_ssize_t
rt_rescue(PyObject *object)
{
    buffered *self = (buffered *)object;
    if (!rt_holds(object) || self->rt.file.is_parents) {
        return 0;
    }
#ifndef MS_WINDOWS
    rt_status is_mine = rt_buffered_lock_acquire_timed(&self->lock, 0);
    if (is_mine == RT_RECOVERED) {
        rt_recover(self);
    }
    /* One that reads too may have to be moved first, which is more than can be done here. */
    int can = is_mine >= 0 && self->writable && !self->readable && self->rt.fd >= 0
              && !_PyFileIO_closed(self->raw);
    while (can && rt_held_back(self) > 0) {
        Py_ssize_t room = _PyRt_RoomAt(self->rt.fd, rt_held_back(self));
        ssize_t n = room == 0 ? 0 : write(self->rt.fd, self->buffer + self->write_pos, (size_t)room);
        if (n <= 0) {
            break;
        }
        self->write_pos += n;
        self->raw_pos = self->write_pos;
        self->abs_pos = -1;
    }
    if (is_mine >= 0) {
        LEAVE_BUFFERED(self)
    }
#endif
    return rt_held_back(self);
}

/* At the first initialization only: later ones must not change a lock that may be held. */
static void
rt_begin(buffered *self)
{
    static const _PyRt_FileKind buffer = {rt_holds, _PyRt_FlushBuffer, rt_account, rt_rescue};
    if (self->rt.file.object == NULL) {
        rt_buffered_lock_init(&self->lock);
        self->rt.file.object = (PyObject *)self;
        self->rt.fd = -1;
        self->rt.file.interp = _PyInterpreterState_GET();
        self->rt.file.kind = &buffer;
        self->rt.file.may_need_python = 1; /* until the raw file is known */
        _PyRt_FileOpened(&self->rt.file);
    }
}

/* What became of a text file's record of which the raw file was offered a part directly. */
void
_PyRt_StateOfRecord(const struct rt_record *record, Py_ssize_t *taken, Py_ssize_t *in_flight)
{
    buffered *self = (buffered *)record->buffer;
    const char *bytes = PyBytes_AS_STRING(record->bytes), *end = bytes + PyBytes_GET_SIZE(record->bytes);
    *taken = *in_flight = 0;
    if (record->has_arrived) {
        *taken = PyBytes_GET_SIZE(record->bytes);
    }
    else if (self == NULL) {
        return;
    }
    else if (self->rt.orphan != NULL && self->rt.orphan >= bytes && self->rt.orphan <= end) {
        *taken = self->rt.orphan_taken;
    }
    else if (self->rt.next != NULL && self->rt.next >= bytes && self->rt.next <= end) {
        *taken = self->rt.taken;
        *in_flight = self->rt.offer == RT_OFFER_DIRECT ? self->rt.offered : 0;
    }
}

/* Frees the buffer, or keeps it if the kernel may still write to it. */
static void
rt_end(buffered *self)
{
    rt_status is_mine = rt_buffered_lock_acquire_timed(&self->lock, 0);
    if (_PyRt_IsEnding()) {
        if (is_mine >= 0) {
            LEAVE_BUFFERED(self)
        }
        rt_account((PyObject *)self);
    }
    if (self->rt.file.object != NULL) {
        _PyRt_FileGone(&self->rt.file);
    }
    if (is_mine < 0 && is_mine != RT_ERR_REENTRANT && is_mine != RT_ERR_THREAD_EXITING) {
        rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_HOST};
        leak.name = "the buffer of a file";
        leak.reason = "its lock is held by a thread that is outside Python";
        leak.bytes = (uint64_t)self->buffer_size;
        rt_note_leak(NULL, &leak);
        self->buffer = NULL;
    }
    PyMem_Free(self->buffer);
    self->buffer = NULL;
}
