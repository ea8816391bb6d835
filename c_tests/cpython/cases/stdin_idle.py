# title: a daemon thread waits for a line on an idle stdin
# of: map, gh-129536
# stock: always
# stdin: idle
import sys

from support import daemon, wait_until_blocked

wait_until_blocked(daemon(sys.stdin.buffer.readline), 0)
