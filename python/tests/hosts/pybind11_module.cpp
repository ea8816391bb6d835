// title: a C++ host whose threads call into Python by pybind11 while it ends
// of: pybind11
// needs: pybind11
// arrives: alive: b"alive"
// arrives: log: b"a line"
#include "host.h"

#include <pybind11/embed.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace py = pybind11;

static std::atomic<int> destroyed;

struct Sensor {
    int value = 7;
    ~Sensor() { destroyed++; }
};

PYBIND11_EMBEDDED_MODULE(sensors, module)
{
    py::class_<Sensor, std::shared_ptr<Sensor>>(module, "Sensor").def(py::init<>()).def_readonly("value", &Sensor::value);
}

/* What a thread does with Python, by pybind11's means, as long as it is let in. */
static void poll(sem_t *ready)
{
    for (int count = 0;; count++) {
#ifdef STOCK
        py::gil_scoped_acquire python;
#else
        rtpy::Ensure python{"sensor"};
        if (!python) {
            return;
        }
        py::gil_scoped_acquire as_pybind11_code_does;
#endif
        py::object sensor = py::module_::import("sensors").attr("Sensor")();
        NEED(sensor.attr("value").cast<int>() == 7);
        if (count == 50) {
            sem_post(ready);
        }
    }
}

int main()
{
    static sem_t ready;
    std::vector<std::thread> threads;
    sem_init(&ready, 0, 0);
    host_start();
    host_run("import sensors\nkept = sensors.Sensor()\nfile = open('log', 'w')\nfile.write('a line')\n");
    PyThreadState *self = PyEval_SaveThread();
    for (int i = 0; i < 4; i++) {
        threads.emplace_back(poll, &ready);
    }
    for (int i = 0; i < 4; i++) {
        host_wait(&ready);
    }
    PyEval_RestoreThread(self);
    int code = host_finalize();
    for (std::thread &thread : threads) {
#ifdef STOCK
        thread.detach();
#else
        thread.join();
#endif
    }
#ifdef STOCK
    usleep(100 * 1000); /* they go on for a while */
#else
    NEED(destroyed > 200);
#endif
    host_lives_on();
    return code;
}
