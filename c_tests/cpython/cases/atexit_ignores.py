# title: an atexit callback that ignores every interruption, text in a file, and a deadline
# of: defaults
# stock: always
# exit: 120
# set: RTFINALIZE_DEADLINE=1s
# arrives: kept.txt: b"".join(b"record %d\n" % n for n in range(600))
# says: ignore
import atexit
import time

file = open("kept.txt", "w")
for number in range(600):
    file.write(f"record {number}\n")


def ignore() -> None:
    while True:
        try:
            time.sleep(1000)
        except KeyboardInterrupt:
            pass


atexit.register(ignore)
