# title: an exit callback forks while the finalization is watched: the library's thread is none to warn of
# of: everyday
# set: RTFINALIZE_NOTICE=60s
# silent: yes
# package: os.fork() counts the threads that watch the end, and warns of them
import atexit
import os


def callback() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


atexit.register(callback)
