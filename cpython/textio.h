/*
 * Part of textio.c: what a text file holds back counts as accepted, and is flushed with all files.
 *
 * A record leaves the text file before the buffer has it. If its thread is stopped on the way, the
 * finalizing thread hands it in again, less what the kernel took of it. One that the finalizing thread brings
 * itself, below or on a C stack that was switched away from, may still go on, so it is left alone.
 */

static int _textiowrapper_writeflush(textio *self);

/* The memory of a record whose call has ended and that no list has. */
static void
rt_let_go(textio *self, struct rt_record *record)
{
    if (--record->owners > 0) {
        return;
    }
    PyObject *bytes = record->bytes, *buffer = record->buffer;
    if (buffer != NULL) {
        _PyRt_RecordEnds(buffer, record);
    }
    if (record != &self->rt.first) {
        PyMem_Free(record);
    }
    Py_DECREF(bytes);
    Py_XDECREF(buffer); /* the last: it may run anything */
}

/* Returns NULL without memory: then nobody hears of the record. */
static struct rt_record *
rt_record_begin(textio *self, PyObject *bytes)
{
    struct rt_record *record = &self->rt.first;
    if (record->owners > 0 && (record = PyMem_Malloc(sizeof(*record))) == NULL) {
        self->rt.new = 0;
        return NULL;
    }
    *record = (struct rt_record){
        .older = self->rt.newest,
        .bytes = Py_NewRef(bytes),
        .thread = PyThread_get_thread_ident(),
        .forks = _PyRt_Forks,
        .new = self->rt.new,
        .owners = 2,
    };
    self->rt.new = 0;
    if (self->buffer != NULL && (Py_IS_TYPE(self->buffer, self->state->PyBufferedWriter_Type)
                                 || Py_IS_TYPE(self->buffer, self->state->PyBufferedRandom_Type))) {
        record->buffer = Py_NewRef(self->buffer);
        _PyRt_RecordBegins(record->buffer, record);
    }
    self->rt.newest = record;
    return record;
}

/* Takes the record out of the list, if it is in it. */
static void
rt_unlist(textio *self, struct rt_record *record)
{
    struct rt_record **link = &self->rt.newest;
    while (*link != NULL && *link != record) {
        link = &(*link)->older;
    }
    if (*link != NULL) {
        *link = record->older;
        rt_let_go(self, record);
    }
}

/* How many bytes of the record neither arrived nor are under way. */
static Py_ssize_t
rt_missing(const struct rt_record *record, Py_ssize_t *in_flight)
{
    Py_ssize_t taken;
    _PyRt_StateOfRecord(record, &taken, in_flight);
    return PyBytes_GET_SIZE(record->bytes) - taken - *in_flight;
}

static void
rt_record_end(textio *self, struct rt_record *record, int succeeded)
{
    if (record == NULL) {
        return;
    }
    if (succeeded && self->pending_bytes == NULL) {
        self->rt.file.is_parents = 0;
    }
    PyObject *raised = PyErr_GetRaisedException();
    if (!succeeded && _PyRt_IsEnding() && record->forks == _PyRt_Forks) {
        /* CPython drops a record that the buffer refused, but for what found room in the buffer. */
        Py_ssize_t in_flight, missing = rt_missing(record, &in_flight), kept = 0;
        if (raised != NULL && PyErr_GivenExceptionMatches(raised, PyExc_BlockingIOError)) {
            kept = Py_MAX(((PyOSErrorObject *)raised)->written, 0);
        }
        self->rt.dropped += Py_MAX(missing + in_flight - kept, 0);
    }
    rt_unlist(self, record);
    rt_let_go(self, record);
    PyErr_SetRaisedException(raised);
}

/* The oldest record whose thread never ends its call, or NULL. */
static struct rt_record *
rt_oldest_left(textio *self)
{
    struct rt_record *oldest = NULL;
    unsigned long me = PyThread_get_thread_ident();
    for (struct rt_record *record = self->rt.newest; record != NULL; record = record->older) {
        if (record->forks == _PyRt_Forks && record->thread != me) {
            oldest = record;
        }
    }
    return oldest;
}

static int
rt_hand_in_again(textio *self)
{
    while (rt_oldest_left(self) != NULL) {
        /* Takes the lock over from the thread that was stopped with it, or fails and changes nothing. */
        PyObject *done = PyObject_CallMethodNoArgs(self->buffer, &_Py_ID(flush));
        struct rt_record *record = done == NULL ? NULL : rt_oldest_left(self);
        if (record == NULL) {
            Py_XDECREF(done);
            return done == NULL ? -1 : 0;
        }
        Py_DECREF(done);
        PyObject *bytes = Py_NewRef(record->bytes);
        Py_ssize_t taken, in_flight, len = PyBytes_GET_SIZE(bytes);
        _PyRt_StateOfRecord(record, &taken, &in_flight);
        rt_unlist(self, record);
        PyObject *rest = taken == len ? NULL : PySequence_GetSlice(bytes, taken, len);
        done = rest == NULL ? NULL : PyObject_CallMethodOneArg(self->buffer, &_Py_ID(write), rest);
        Py_XDECREF(rest);
        Py_DECREF(bytes);
        if (done == NULL && taken < len) {
            self->rt.dropped += len - taken;
            return -1;
        }
        Py_XDECREF(done);
    }
    return 0;
}

static int
rt_holds(PyObject *object)
{
    textio *self = (textio *)object;
    if (self->ok <= 0 || (self->pending_bytes == NULL && self->rt.newest == NULL)) {
        return 0;
    }
    return self->raw != NULL ? _PyRt_HOLDS : _PyRt_HOLDS_FOR_PYTHON;
}

/* Whether the buffer is one of CPython's own, or an object of a subclass. */
static int
rt_has_own_buffer(textio *self)
{
    return self->buffer != NULL && (PyObject_TypeCheck(self->buffer, self->state->PyBufferedWriter_Type)
                                    || PyObject_TypeCheck(self->buffer, self->state->PyBufferedRandom_Type));
}

static int
rt_flush_text(PyObject *object)
{
    textio *self = (textio *)object;
    int failed = 0;
    if (self->ok <= 0 || self->detached || self->buffer == NULL) {
        return 0;
    }
    if (!_PyRt_IsEnding() && self->raw != NULL) {
        return 0; /* it needs no Python: the flush after the freeze writes it */
    }
    /* Before the freeze the threads that bring records still run. */
    if (_PyRt_IsFrozen() && rt_hand_in_again(self) < 0) {
        return -1;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    while (!failed && self->pending_bytes != NULL) {
        failed = _textiowrapper_writeflush(self) < 0;
    }
    Py_END_CRITICAL_SECTION();
    if (failed) {
        return -1;
    }
    return rt_has_own_buffer(self) ? _PyRt_FlushBuffer(self->buffer) : 1;
}

static void
rt_account_text(PyObject *object)
{
    textio *self = (textio *)object;
    rt_report_destination file = {.struct_size = sizeof file};
    if (self->rt.file.accounted || self->rt.file.is_parents) {
        return;
    }
    file.unwritten = (uint64_t)(self->pending_bytes_count + self->rt.dropped);
    for (struct rt_record *record = self->rt.newest; record != NULL; record = record->older) {
        Py_ssize_t in_flight, missing = rt_missing(record, &in_flight);
        /* Of the text that a call still brings which never returned, nobody was told that it is accepted. */
        int is_mine = record->thread == PyThread_get_thread_ident();
        if (record->forks == _PyRt_Forks && (!is_mine || missing + in_flight > record->new)) {
            file.unwritten += (uint64_t)missing;
            file.in_flight += (uint64_t)in_flight;
        }
    }
    file.accepted = file.unwritten + file.in_flight;
    if (file.accepted > 0) {
        file.reason = "text held back: its buffer could not take it";
        _PyRt_File *buffer = rt_has_own_buffer(self) ? _PyRt_FileOfBuffer(self->buffer) : NULL;
        _PyRt_NoteLost(&self->rt.file, buffer, &file);
    }
}

/* Text is in Python's objects. */
static Py_ssize_t
rt_held_text(PyObject *object)
{
    textio *self = (textio *)object;
    return self->rt.file.is_parents ? 0 : self->pending_bytes_count;
}

static void
rt_begin(textio *self)
{
    static const _PyRt_FileKind text = {rt_holds, rt_flush_text, rt_account_text, rt_held_text};
    int may_need_python = self->raw == NULL;
    if (self->rt.file.object == NULL) {
        self->rt.file.object = (PyObject *)self;
        self->rt.file.interp = _PyInterpreterState_GET();
        self->rt.file.kind = &text;
        self->rt.file.may_need_python = (uint8_t)may_need_python;
        _PyRt_FileOpened(&self->rt.file);
    }
    else {
        _PyRt_MayNeedPython(&self->rt.file, may_need_python);
    }
}

static void
rt_end(textio *self)
{
    if (self->rt.first.owners > 0 && self->rt.first.buffer != NULL) {
        _PyRt_RecordEnds(self->rt.first.buffer, &self->rt.first); /* its thread was stopped */
    }
    if (_PyRt_IsEnding()) {
        rt_account_text((PyObject *)self);
    }
    if (self->rt.file.object != NULL) {
        _PyRt_FileGone(&self->rt.file);
    }
}
