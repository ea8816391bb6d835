"""asyncio: loops, tasks and subprocesses as the program ends."""

# %% run_main: asyncio.run
# stdout: ^slept$
import asyncio
async def main():
    await asyncio.sleep(0.01)
    print("slept")
asyncio.run(main())

# %% run_raises: an exception out of asyncio.run
# ends: 1
# stderr: ^ValueError: in a coroutine$
import asyncio
async def main():
    raise ValueError("in a coroutine")
asyncio.run(main())

# %% run_system_exit: sys.exit in a coroutine
# ends: 3
# stdout: ^finally$
import asyncio, sys
async def main():
    try:
        sys.exit(3)
    finally:
        print("finally")
asyncio.run(main())

# %% run_system_exit_in_task: sys.exit in a task
# ends: 4
import asyncio, sys
async def work():
    sys.exit(4)
async def main():
    await asyncio.create_task(work())
try:
    asyncio.run(main())
finally:
    pass

# %% run_interrupted: an interrupt of asyncio.run cancels its main task
# ends: SIGINT
# stdout: ^cancelled$
# stderr: ^KeyboardInterrupt$
import asyncio, os, signal
async def main():
    try:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        print("cancelled")
        raise
asyncio.run(main())

# %% run_with_signal_handler: loop.add_signal_handler
# ends: 5
# stdout: ^told to end$
import asyncio, os, signal, sys
async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await told.wait()
    print("told to end")
    return 5
sys.exit(asyncio.run(main()))

# %% tasks_left_are_cancelled: tasks that run when main ends
# stdout: ^main\ncancelled$
import asyncio
async def work():
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        print("cancelled")
        raise
async def main():
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    print("main")
asyncio.run(main())

# %% task_exception_never_retrieved: a task whose failure nobody asks for
# stderr: ^Task exception was never retrieved$
import asyncio
async def work():
    raise ValueError("lost")
async def main():
    task = asyncio.create_task(work(), name="task")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(main())

# %% task_destroyed_pending: a loop that is dropped with a pending task
# stderr: Task was destroyed but it is pending
# normalise: address
import asyncio
async def work():
    await asyncio.sleep(30)
loop = asyncio.new_event_loop()
task = loop.create_task(work(), name="task")
loop.call_soon(loop.stop)
loop.run_forever()

# %% coroutine_never_awaited: a coroutine that nobody awaits
# stderr: RuntimeWarning: coroutine 'work' was never awaited
async def work():
    pass
work()

# %% coroutine_never_awaited_at_exit: a coroutine that is there at the end
# stderr: RuntimeWarning: coroutine 'work' was never awaited
async def work():
    pass
pending = work()

# %% loop_not_closed: a loop that nobody closes, with -X dev
# argv: -X dev program.py
# stderr: ResourceWarning: unclosed event loop
# normalise: address
import asyncio
loop = asyncio.new_event_loop()
loop.run_until_complete(asyncio.sleep(0))

# %% loop_not_closed_quietly: a loop that nobody closes
# stdout: ^done$
import asyncio
loop = asyncio.new_event_loop()
loop.run_until_complete(asyncio.sleep(0))
print("done")

# %% loop_debug: asyncio's debug mode
# set: PYTHONASYNCIODEBUG=1
# stderr: Executing <.*> took
# normalise: address
# replace: took \d+\.\d+ seconds => took N seconds
import asyncio, time
async def main():
    time.sleep(0.15)
asyncio.run(main())

# %% to_thread: asyncio.to_thread
# stdout: ^from a thread$
import asyncio
print(asyncio.run(asyncio.to_thread(lambda: "from a thread")))

# %% to_thread_still_running: main ends beside work in a thread
# stdout: ^main\nthread$
import asyncio, threading
go = threading.Event()
def work():
    go.wait()
    print("thread")
async def main():
    task = asyncio.create_task(asyncio.to_thread(work))
    await asyncio.sleep(0.05)
    print("main")
    go.set()
asyncio.run(main())

# %% executor_of_loop_left: run_in_executor without an end
# stdout: ^main\nthread$
import asyncio, threading
loop = asyncio.new_event_loop()
def work():
    threading.main_thread().is_alive()
    print("thread")
async def main():
    print("main", flush=True)
    loop.run_in_executor(None, work)
loop.run_until_complete(main())

# %% asyncio_subprocess: a child of asyncio
# stdout: ^b'child\\n' 3$
import asyncio, sys
async def main():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('child'); raise SystemExit(3)",
                                                 stdout=asyncio.subprocess.PIPE)
    print(await child.stdout.read(), await child.wait())
asyncio.run(main())

# %% asyncio_subprocess_left: a child of asyncio that still runs
# stdout: ^main$
import asyncio
async def main():
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    print("main")
asyncio.run(main())

# %% asyncio_server_left: a server that nobody closes
# stdout: ^b'echo'$
import asyncio
async def answer(reader, writer):
    writer.write(await reader.read(100))
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"echo")
    print(await reader.read())
asyncio.run(main())

# %% async_generator_left: an asynchronous generator that is not at its end
# stdout: ^1\nclosed$
import asyncio
async def numbers():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        print("closed")
async def main():
    global left
    left = numbers()
    print(await anext(left))
asyncio.run(main())

# %% async_generator_outside_loop: an asynchronous generator without a loop at the end
# stdout: ^1\nclosed$
# normalise: address
async def numbers():
    try:
        yield 1
    finally:
        print("closed")
left = numbers()
try:
    left.asend(None).send(None)
except StopIteration as told:
    print(told.value)

# %% task_group_fails: a TaskGroup of which one fails
# ends: 1
# stderr: ExceptionGroup: unhandled errors in a TaskGroup
import asyncio
async def fail():
    raise ValueError("one")
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(asyncio.sleep(30))
asyncio.run(main())

# %% timeout_of_asyncio: asyncio.timeout
# ends: 1
# stderr: ^TimeoutError$
import asyncio
async def main():
    async with asyncio.timeout(0.01):
        await asyncio.sleep(30)
asyncio.run(main())

# %% loop_in_thread: a loop that keeps running in a daemon thread
# stdout: ^5$
import asyncio, threading
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
async def work():
    return 5
print(asyncio.run_coroutine_threadsafe(work(), loop).result())

# %% exception_handler_of_loop: a callback that fails
# stderr: ^Exception in callback
# replace: at /.*program.py:\d+> => at PROGRAM>
# normalise: address
import asyncio
def fail():
    raise ValueError("callback")
async def main():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(main())

# %% run_in_exit_callback: asyncio.run in an exit callback
# stdout: ^late$
import asyncio, atexit
async def main():
    print("late")
atexit.register(lambda: asyncio.run(main()))

# %% asyncio_repl_piped: python -m asyncio with piped input
# argv: -m asyncio
# stdin: 'await asyncio.sleep(0, print("awaited"))\nexit(3)\n'
# ends: 3
# stdout: awaited
# stderr: asyncio REPL
# replace: (?m)^asyncio REPL .* => BANNER
# replace: (?m)^\[?(GCC|Clang).* => COMPILER
