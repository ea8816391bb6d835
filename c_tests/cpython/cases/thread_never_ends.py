# title: a non-daemon thread that never ends, and a deadline
# of: map
# stock: always
# exit: 0 or 120
# set: RTFINALIZE_DEADLINE=1s
# says: forever
import threading

threading.Thread(target=threading.Event().wait, name="forever").start()
