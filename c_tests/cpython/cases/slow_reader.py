# title: the reader of a full pipe pauses for two seconds at the writer's end
# of: pagers
# seconds: 15
# arrives: stdout: b"the end\n" * 3
import subprocess
import sys
import time

FILL = "import sys, atexit; fill = lambda out=sys.stdout: (out.buffer.write(b'x' * 65535 + b'\\n'), out.write('the end\\n'))"
ENDS = (
    "fill()",
    "atexit.register(fill)",
    "Last = type('Last', (), {'__del__': lambda self, fill=fill: fill()}); last = Last()",
)
writers = [subprocess.Popen([sys.executable, "-c", f"{FILL}; {end}"], stdout=subprocess.PIPE) for end in ENDS]
time.sleep(2)
for writer in writers:
    out = writer.stdout.read()
    assert writer.wait() == 0
    sys.stdout.write(out.splitlines()[-1].decode() + "\n")
