# title: greenlets are left in the middle of a write when the script ends
# of: greenlet, gevent
# needs: greenlet
# arrives: stdout: b"end\n"
# freethreaded: greenlet crashes as it switches
import io

import greenlet

main = greenlet.getcurrent()
kept = []


class Raw(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        if greenlet.getcurrent() is not main:
            main.switch()
        return len(data)


def bury(depth: int) -> str:
    return repr(sorted([depth], key=lambda _: bury(depth - 1))) if depth else ""


for _ in range(5):
    text = io.TextIOWrapper(io.BufferedWriter(Raw(), 16), "utf-8", write_through=True)
    writer = greenlet.greenlet(lambda text=text: text.write("x" * 100))
    writer.switch()
    kept.append((text, writer))
bury(40)
print("end", flush=True)
