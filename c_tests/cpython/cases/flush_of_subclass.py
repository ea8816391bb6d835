# title: text files of a class with a flush() of its own: called once each, as they die, full or empty
# of: everyday
# arrives: stdout: b"flush\nflush\n"
import io
import os


class Tee(io.TextIOWrapper):
    def flush(self) -> None:
        if not self.closed:
            os.write(1, b"flush\n")
            super().flush()


class Kept(io.BytesIO):
    def close(self) -> None:
        """Its end is not the end of the bytes."""


empty = Tee(io.BytesIO())
full = Tee(Kept())
full.write("held back")
