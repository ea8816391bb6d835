/*
 * Part of textio.c: what a text file holds back counts as accepted, and is flushed with all files.
 *
 * A record leaves the text file before the buffer has it. If its thread is parked on the way, the
 * finalizing thread hands it in again, less what the kernel took of it.
 */

/* Of bufferedio.c: how much of a record its raw file took, and how much of it is in write(2). */
extern void _PyRt_RecordOf(PyObject *buffer, const char *record, Py_ssize_t len, Py_ssize_t *taken,
                           Py_ssize_t *in_flight);

/* Records of threads that a fork left behind are the parent's, and lie on stacks that are gone. */
static void
rt_drop_left_behind(textio *self)
{
    if (self->rt.forks != _PyRt_Forks) {
        self->rt.forks = _PyRt_Forks;
        self->rt.newest = NULL;
    }
}

static void
rt_record_begin(textio *self, struct rt_record *record, PyObject *bytes)
{
    rt_drop_left_behind(self);
    record->bytes = bytes;
    record->has_arrived = 0;
    record->outer = _PyRt_Bringing;
    _PyRt_Bringing = record;
    record->older = self->rt.newest;
    self->rt.newest = record;
}

static void
rt_state_of(textio *self, struct rt_record *record, Py_ssize_t *taken, Py_ssize_t *in_flight)
{
    *taken = *in_flight = 0;
    if (record->has_arrived) {
        *taken = PyBytes_GET_SIZE(record->bytes);
    }
    else if (Py_IS_TYPE(self->buffer, self->state->PyBufferedWriter_Type) ||
        Py_IS_TYPE(self->buffer, self->state->PyBufferedRandom_Type))
    {
        _PyRt_RecordOf(self->buffer, PyBytes_AS_STRING(record->bytes),
                       PyBytes_GET_SIZE(record->bytes), taken, in_flight);
    }
}

static void
rt_record_end(textio *self, struct rt_record *record, int succeeded)
{
    _PyRt_Bringing = record->outer;
    rt_drop_left_behind(self);
    struct rt_record **link = &self->rt.newest;
    while (*link != NULL && *link != record) {
        link = &(*link)->older;
    }
    /* The thread may itself have forked with it, or the finalizing thread have taken it. */
    if (*link != NULL) {
        *link = record->older;
    }
    if (!succeeded && _PyRt_IsEnding() && self->buffer != NULL) {
        /* CPython drops a record that the buffer refused. */
        Py_ssize_t taken, in_flight;
        PyObject *raised = PyErr_GetRaisedException();
        rt_state_of(self, record, &taken, &in_flight);
        PyErr_SetRaisedException(raised);
        self->rt.dropped += PyBytes_GET_SIZE(record->bytes) - taken;
    }
}

/* Takes out the oldest record on its way. */
static struct rt_record *
rt_take_oldest(textio *self)
{
    struct rt_record **link = &self->rt.newest;
    while (*link != NULL && (*link)->older != NULL) {
        link = &(*link)->older;
    }
    struct rt_record *oldest = *link;
    *link = NULL;
    return oldest;
}

static int
rt_hand_in_again(textio *self)
{
    while (self->rt.newest != NULL) {
        /* Takes the lock over from the thread that was parked with it, or fails and changes nothing. */
        PyObject *done = PyObject_CallMethodNoArgs(self->buffer, &_Py_ID(flush));
        if (done == NULL) {
            return -1;
        }
        Py_DECREF(done);
        Py_ssize_t taken, in_flight;
        struct rt_record *record = rt_take_oldest(self);
        rt_state_of(self, record, &taken, &in_flight);
        if (taken == PyBytes_GET_SIZE(record->bytes)) {
            continue;
        }
        PyObject *rest = PySequence_GetSlice(record->bytes, taken, PyBytes_GET_SIZE(record->bytes));
        done = rest == NULL ? NULL : PyObject_CallMethodOneArg(self->buffer, &_Py_ID(write), rest);
        Py_XDECREF(rest);
        if (done == NULL) {
            self->rt.dropped += PyBytes_GET_SIZE(record->bytes) - taken;
            return -1;
        }
        Py_DECREF(done);
    }
    return 0;
}

static int
rt_flush_text(PyObject *object)
{
    textio *self = (textio *)object;
    if (self->ok <= 0 || self->detached || self->buffer == NULL) {
        return 0;
    }
    if (!_PyRt_IsEnding() && self->raw != NULL) {
        return 0; /* it needs no Python: the flush after the freeze writes it, bounded */
    }
    rt_drop_left_behind(self);
    /* Before the freeze the threads that bring records still run. */
    if (_PyRt_IsFrozen() && rt_hand_in_again(self) < 0) {
        return -1;
    }
    if (self->pending_bytes == NULL && self->raw != NULL) {
        return 0; /* the buffer's own flush does the rest */
    }
    PyObject *done = PyObject_CallMethodNoArgs(object, &_Py_ID(flush));
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static void
rt_account_text(PyObject *object)
{
    textio *self = (textio *)object;
    rt_report_destination file = {.struct_size = sizeof file};
    if (self->rt.file.accounted) {
        return;
    }
    rt_drop_left_behind(self);
    file.unwritten = (uint64_t)(self->pending_bytes_count + self->rt.dropped);
    for (struct rt_record *record = self->rt.newest; record != NULL; record = record->older) {
        Py_ssize_t taken = 0, in_flight = 0;
        if (self->buffer != NULL) {
            rt_state_of(self, record, &taken, &in_flight);
        }
        file.unwritten += (uint64_t)(PyBytes_GET_SIZE(record->bytes) - taken - in_flight);
        file.in_flight += (uint64_t)in_flight;
    }
    file.accepted = file.unwritten + file.in_flight;
    if (file.accepted > 0) {
        file.name = _PyRt_FileName(object);
        file.reason = "text held back: its buffer could not take it";
        rt_note_destination(NULL, &file);
        self->rt.file.accounted = 1;
    }
}

/* Text is in Python's objects. */
static Py_ssize_t
rt_held_text(PyObject *object)
{
    return ((textio *)object)->pending_bytes_count;
}

static void
rt_begin(textio *self)
{
    if (self->rt.file.object == NULL) {
        self->rt.file.object = (PyObject *)self;
        self->rt.file.interp = _PyInterpreterState_GET();
        self->rt.file.is_text = 1;
        self->rt.forks = _PyRt_Forks;
        self->rt.file.flush = rt_flush_text;
        self->rt.file.account = rt_account_text;
        self->rt.file.rescue = rt_held_text;
        _PyRt_FileOpened(&self->rt.file);
    }
}

static void
rt_end(textio *self)
{
    if (self->rt.file.object != NULL) {
        _PyRt_FileGone(&self->rt.file);
    }
    if (_PyRt_IsEnding()) {
        rt_account_text((PyObject *)self);
    }
}
