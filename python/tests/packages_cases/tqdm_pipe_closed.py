# title: the reader of tqdm's bar goes, and its monitor thread waits for the lock that tqdm keeps then
# of: tqdm
# needs: tqdm
# seconds: 15
# exit: 120
import itertools
import os
import sys
import time

import tqdm

tqdm.tqdm.monitor_interval = 0.01
reader, writer = os.pipe()
os.dup2(writer, 2)
os.close(writer)
bar = tqdm.tqdm(itertools.count(), mininterval=0, miniters=1)
try:
    for number in bar:
        if number == 50:
            os.close(reader)
finally:
    while sys._current_frames()[bar.monitor.ident].f_code.co_name != "acquire":
        time.sleep(0.001)
