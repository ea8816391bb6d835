# title: a program's data file has got the number of stderr, and a thread takes long
# of: everyday
# set: RTFINALIZE_NOTICE=200ms
# arrives: data: b"record of descriptor 2\n"
import os
import threading
import time

os.close(2)
data = open("data", "wb", buffering=0)
data.write(b"record of descriptor %d\n" % data.fileno())
threading.Thread(target=time.sleep, args=(1,)).start()
