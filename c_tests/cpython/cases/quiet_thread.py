# title: a thread runs on for six seconds after the main thread, and nobody asked to be told
# of: everyday
# seconds: 15
# silent: yes
import threading
import time

threading.Thread(target=time.sleep, args=(6,)).start()
