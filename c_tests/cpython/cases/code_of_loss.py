# title: a program whose exit code is 0 loses bytes of a file in a cycle: 120, and a line that says of which file
# of: everyday
# stock: always
# exit: 120
# counts: 4
# says: rtfinalize: 'main': 4 bytes of '/dev/full' are not written
out = open("/dev/full", "w")
out.write("lost")
ring = [out]
ring.append(ring)
del out, ring
