/*
 * Records of 64 bytes through a buffered writer, beside stdio and CPython's BufferedWriter, all
 * with buffers of 128 KiB.
 */
#include "bench.h"

#include <fcntl.h>

enum { RECORD = 64, BUFFER = 128 * 1024, TURNS = 301 };

static const char record[RECORD] =
    "a record of sixty-four bytes, as a line of a log may well be....";
static rt_writer *writer;
static FILE *stream;
/* Where both write; a file is written over and over from its start. */
static int fd;

static void ours(long times)
{
    lseek(fd, 0, SEEK_SET);
    while (times-- > 0) {
        if (rt_writer_write(writer, record, RECORD) != RT_OK) {
            abort();
        }
    }
}

static void ours_empty(long times)
{
    while (times-- > 0) {
        if (rt_writer_write(writer, record, 0) != RT_OK) {
            abort();
        }
    }
}

/* flockfile, fwrite_unlocked, funlockfile. */
static void stdio(long times)
{
    lseek(fd, 0, SEEK_SET);
    while (times-- > 0) {
        if (fwrite(record, RECORD, 1, stream) != 1) {
            abort();
        }
    }
}

#ifdef WITH_LIBPYTHON
/* Of CPython's stable API; its headers are not needed. */
extern void Py_InitializeEx(int signals);
extern void *PyImport_ImportModule(const char *name);
extern void *PyObject_CallMethod(void *object, const char *name, const char *format, ...);
extern void *PyObject_GetAttrString(void *object, const char *name);
extern void *PyObject_CallFunctionObjArgs(void *callable, ...);
extern void *PyBytes_FromStringAndSize(const char *bytes, ssize_t len);
extern void Py_DecRef(void *object);

static void *python_write, *python_record;

static void python(long times)
{
    lseek(fd, 0, SEEK_SET);
    while (times-- > 0) {
        void *answer = PyObject_CallFunctionObjArgs(python_write, python_record, NULL);
        if (answer == NULL) {
            abort();
        }
        Py_DecRef(answer);
    }
}

static void open_python(void)
{
    void *io = PyImport_ImportModule("io");
    void *raw, *buffered;
    NEED(io != NULL);
    raw = PyObject_CallMethod(io, "FileIO", "isi", fd, "wb", 0);
    NEED(raw != NULL);
    buffered = PyObject_CallMethod(io, "BufferedWriter", "Oi", raw, (int)BUFFER);
    NEED(buffered != NULL);
    python_write = PyObject_GetAttrString(buffered, "write");
    python_record = PyBytes_FromStringAndSize(record, RECORD);
    NEED(python_write != NULL && python_record != NULL);
}
#endif

static void open_all(const char *path)
{
    rt_writer_options options = {.struct_size = sizeof options, .capacity = BUFFER};
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    NEED(fd >= 0);
    NEED(rt_writer_open_fd(NULL, fd, &options, &writer) == RT_OK);
    stream = fdopen(dup(fd), "w");
    NEED(stream != NULL);
    setvbuf(stream, NULL, _IOFBF, BUFFER);
#ifdef WITH_LIBPYTHON
    open_python();
#endif
}

/* The first argument is a file to write to. */
int main(int argc, char **argv)
{
    NEED(argc == 2);
    bench_second_thread();
    bench_pin();
#ifdef WITH_LIBPYTHON
    Py_InitializeEx(0);
#endif
    open_all("/dev/null");
    bench_row("write 64 bytes to /dev/null : fwrite", bench_compare(ours, stdio, TURNS), 0);
#ifdef WITH_LIBPYTHON
    bench_row("write 64 bytes to /dev/null : CPython BufferedWriter",
              bench_compare(ours, python, TURNS), 0);
#endif
    bench_row("write 0 bytes : fwrite 64 bytes", bench_compare(ours_empty, stdio, TURNS), 0);
    NEED(rt_writer_close(writer, -1) == RT_OK);
    open_all(argv[1]);
    bench_row("write 64 bytes to a file : fwrite", bench_compare(ours, stdio, TURNS), 0);
    NEED(rt_writer_close(writer, -1) == RT_OK);
    unlink(argv[1]);
    return 0;
}
