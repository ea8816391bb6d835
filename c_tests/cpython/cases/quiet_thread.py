# title: a thread outlives the main thread by six seconds, and no notice was requested
# of: everyday
# seconds: 15
# silent: yes
import threading
import time

threading.Thread(target=time.sleep, args=(6,)).start()
