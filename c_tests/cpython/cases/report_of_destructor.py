# title: a destructor takes half a second as modules are cleared: the report says which one
# of: defaults
# stock: none
# set: RTFINALIZE_NOTICE=100ms
# says: "what":"callback 'clear modules', in Cache\.__del__ \([^"]*\.py:\d+\)","start_us":\d+,"us":\d+,"outcome":"ended"
# package: modules are cleared by Python itself, after the report
import time


class Cache:
    def __del__(self, sleep=time.sleep) -> None:
        sleep(0.5)


cache = Cache()
