# title: a program ends with a code of its own, and a file could not be written: the code stays
# of: everyday
# exit: 3
# says: rtfinalize: 'main': 4 bytes of '/dev/full' are not written
import sys

out = open("/dev/full", "w")
out.write("lost")
sys.exit(3)
