"""Packages of native code: numpy, cffi, pybind11, nanobind, grpcio, pyzmq."""

# %% grpc_server_and_call: a server and a client of grpc in one process
# needs: grpcio
# set: GRPC_VERBOSITY=NONE
# stdout: ^b'HI'$
import grpc
from concurrent.futures import ThreadPoolExecutor
class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request.upper())
server = grpc.server(ThreadPoolExecutor(2), [Handler()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
print(channel.unary_unary("/service/method")(b"hi"))
channel.close()
server.stop(None).wait()

# %% grpc_left_running: a server and a channel of grpc that nobody closes
# needs: grpcio
# set: GRPC_VERBOSITY=NONE
# stdout: ^b'HI'$
import grpc
from concurrent.futures import ThreadPoolExecutor
class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request.upper())
server = grpc.server(ThreadPoolExecutor(2), [Handler()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
print(channel.unary_unary("/service/method")(b"hi"))

# %% grpc_stream_left: a stream of grpc that is open at the end
# needs: grpcio
# set: GRPC_VERBOSITY=NONE
# stdout: ^b'0'$
import grpc, threading
from concurrent.futures import ThreadPoolExecutor
class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        def numbers(request, context):
            yield b"0"
            left = threading.Event()
            context.add_callback(left.set)
            left.wait()
        return grpc.unary_stream_rpc_method_handler(numbers)
server = grpc.server(ThreadPoolExecutor(2), [Handler()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
answers = channel.unary_stream("/service/method")(b"")
print(next(answers))
answers.cancel()

# %% grpc_unavailable: a call that no server answers
# needs: grpcio
# set: GRPC_VERBOSITY=NONE
# ends: 1
# stderr: StatusCode.UNAVAILABLE
# replace: \d{4,5} => PORT
# replace: debug_error_string = .* => DEBUG
# replace: details = .* => DETAILS
import grpc, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/service/method")(b"")

# %% zmq_request_and_reply: sockets and a context that are closed
# needs: pyzmq
# stdout: ^b'hi'$
import zmq
with zmq.Context() as context, context.socket(zmq.PAIR) as ours, context.socket(zmq.PAIR) as theirs:
    ours.bind("inproc://pair")
    theirs.connect("inproc://pair")
    theirs.send(b"hi")
    print(ours.recv())

# %% zmq_left_open: sockets and a context that nobody closes
# needs: pyzmq
# stdout: ^main$
import zmq
context = zmq.Context.instance()
ours = context.socket(zmq.PULL)
ours.bind("tcp://127.0.0.1:*")
print("main")

# %% zmq_in_daemon: a daemon thread that waits for a message
# needs: pyzmq
# stdout: ^main$
import threading, zmq
context = zmq.Context()
def work():
    ours = context.socket(zmq.PULL)
    ours.bind("inproc://work")
    bound.set()
    ours.recv()
bound = threading.Event()
threading.Thread(target=work, daemon=True).start()
bound.wait()
context.linger = 0
print("main", flush=True)
import os
os._exit(0)

# %% numpy_at_exit: arrays, and a memory map that nobody closes
# needs: numpy
# stdout: ^499500$
import numpy
numbers = numpy.arange(1000)
mapped = numpy.memmap("map", dtype="u1", mode="w+", shape=16)
mapped[:] = 7
print(numbers.sum())

# %% numpy_in_threads: numpy in threads that go on after the last line
# needs: numpy
# stdout: ^20.0$
import numpy, threading
def work():
    threading.main_thread().join()
    print((numpy.ones((20, 20)) @ numpy.ones((20, 20)))[0, 0])
threading.Thread(target=work).start()

# %% numpy_warns: numpy's warning
# needs: numpy
# stderr: RuntimeWarning: divide by zero
import numpy
numpy.ones(1) / 0

# %% numpy_with_tracemalloc: numpy under tracemalloc at the end
# needs: numpy
# argv: -X tracemalloc program.py
# stdout: ^main$
import numpy
kept = numpy.zeros(100000)
print("main")

# %% cffi_callback_left: a callback of cffi, kept to the end
# needs: cffi
# stdout: ^\[1, 2, 3\]$
import cffi
ffi = cffi.FFI()
ffi.cdef("void qsort(void *, size_t, size_t, int (*)(const void *, const void *));")
libc = ffi.dlopen(None)
@ffi.callback("int(const void *, const void *)")
def compare(a, b):
    return ffi.cast("int *", a)[0] - ffi.cast("int *", b)[0]
numbers = ffi.new("int[3]", [3, 1, 2])
libc.qsort(numbers, 3, 4, compare)
print(list(numbers))

# %% cffi_callback_fails: a callback of cffi that raises
# needs: cffi
# stderr: ^Exception ignored from cffi callback
# normalise: address
import cffi
ffi = cffi.FFI()
@ffi.callback("int(void)")
def fail():
    raise ValueError("callback")
fail()

# %% cffi_gc_at_exit: a destructor by ffi.gc
# needs: cffi
# stdout: ^main\nfreed$
import cffi
ffi = cffi.FFI()
memory = ffi.gc(ffi.new("int *"), lambda _, print=print: print("freed"))
print("main")

# %% pybind11_module: objects and callbacks of pybind11 at the end
# needs: pybind11, c++
# build: bound by pybind11
# stdout: ^called 5\nfreed$
import bound, functools
thing = bound.Thing(functools.partial(print, "called"))
thing.call(5)
# --- bound.cpp
#include <cstdio>
#include <functional>
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
struct Thing {
    std::function<void(int)> callback;
    explicit Thing(std::function<void(int)> given) : callback(std::move(given)) {}
    ~Thing() { std::puts("freed"); std::fflush(stdout); }
    void call(int number) { callback(number); pybind11::print("", pybind11::arg("end") = "", pybind11::arg("flush") = true); }
};
PYBIND11_MODULE(bound, m) {
    pybind11::class_<Thing>(m, "Thing").def(pybind11::init<std::function<void(int)>>()).def("call", &Thing::call);
}

# %% pybind11_exception: a C++ exception that is not caught
# needs: pybind11, c++
# build: bound by pybind11
# ends: 1
# stderr: ^RuntimeError: from C\+\+$
import bound
bound.fail()
# --- bound.cpp
#include <pybind11/pybind11.h>
#include <stdexcept>
PYBIND11_MODULE(bound, m) {
    m.def("fail", [] { throw std::runtime_error("from C++"); });
}

# %% pybind11_thread: a C++ thread that calls into Python and is joined
# needs: pybind11, c++
# build: bound by pybind11
# stdout: ^from a C\+\+ thread\nmain$
import bound
bound.run(lambda: print("from a C++ thread"))
print("main")
# --- bound.cpp
#include <pybind11/pybind11.h>
#include <thread>
namespace py = pybind11;
PYBIND11_MODULE(bound, m) {
    m.def("run", [](py::object callback) {
        py::gil_scoped_release released;
        std::thread([&] { py::gil_scoped_acquire taken; callback(); }).join();
    });
}

# %% pybind11_atexit: a callback that a C++ module registers with atexit
# needs: pybind11, c++
# build: bound by pybind11
# stdout: ^main\nfrom C\+\+$
import bound
print("main")
# --- bound.cpp
#include <pybind11/pybind11.h>
namespace py = pybind11;
PYBIND11_MODULE(bound, m) {
    py::module_::import("atexit").attr("register")(py::cpp_function([] { py::print("from C++"); }));
}

# %% nanobind_leaks_told: nanobind tells of what is left at the end
# needs: nanobind, c++
# build: nano by nanobind
# stdout: ^called 5$
# stderr: ^nanobind: leaked 1 instances!$
# sorted: stderr
# normalise: address
import nano, sys
thing = nano.Thing(lambda number: print("called", number))
thing.call(5)
sys.keep = thing
# --- nano.cpp
#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
namespace nb = nanobind;
struct Thing {
    std::function<void(int)> callback;
    explicit Thing(std::function<void(int)> given) : callback(std::move(given)) {}
    void call(int number) { callback(number); }
};
NB_MODULE(nano, m) {
    nb::class_<Thing>(m, "Thing").def(nb::init<std::function<void(int)>>()).def("call", &Thing::call);
}
