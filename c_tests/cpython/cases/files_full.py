# title: thirty files on a full disk: ten have a line each, one line has the sum of the rest, the report all
# of: disk full
# stock: always
# exit: 120
# counts: 465
# says: \A((?:(?!rtf).*\n)*rtfinalize: 'main': \d+ bytes of '/dev/full' are not written: .+\n){10}(?:(?!rtf).*\n)*rtfinalize: 'main': \d+ bytes of 20 other files are not written; .+\n(?:(?!rtf).*\n)*\{
ring: list[object] = []
ring.append(ring)
for number in range(1, 31):
    ring.append(open("/dev/full", "w"))
    ring[-1].write("x" * number)
del ring
