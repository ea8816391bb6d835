# title: a daemon thread draws tqdm's bar on a stderr that nobody reads; logging's exit callback waits for its lock
# of: tqdm
# needs: tqdm
# seconds: 15
# stderr: unread
# set: RTFINALIZE_DEADLINE=2s
# exit: 120
import itertools

import tqdm

from support import daemon, wait_until_blocked

tqdm.tqdm.monitor_interval = 0.01


def draw() -> None:
    for _ in tqdm.tqdm(itertools.count(), mininterval=0, miniters=1):
        pass


wait_until_blocked(daemon(draw), 2)
