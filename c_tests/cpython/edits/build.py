"""The adapter becomes part of CPython's core, and Python is linked again when the library changed."""

from pathlib import Path

from tree import After, Edits, ExtendLine

ADAPTER = Path(__file__).resolve().parents[3] / "src" / "cpython"
# Where the adapter's files stand in the tree.
PLACE = "Python/rtfinalize"


def adapter(suffix: str) -> list[Path]:
    return sorted(ADAPTER.glob(f"*{suffix}"))


def objects() -> str:
    return " ".join(f"{PLACE}/{file.stem}.o" for file in adapter(".c"))


def headers() -> str:
    return " ".join(f"$(srcdir)/{PLACE}/{file.name}" for file in adapter(".h"))


# The objects get a rule because configure makes no folder for them. The build's programs that only make
# sources are not linked again for a new library: everything would be made again after them.
EDITS: Edits = {
    "Makefile.pre.in": [
        ExtendLine(r"^PY_CPPFLAGS=", f" -I$(srcdir)/{PLACE}"),
        After(r"^PYTHON_OBJS=\s*\\$", "\t\t$(RTFINALIZE_OBJS) \\\n"),
        After(r"^PYTHON_HEADERS=\s*\\$", "\t\t$(RTFINALIZE_HEADERS) \\\n"),
        After(r"^# Python$", f"""
RTFINALIZE_OBJS= {objects()}
RTFINALIZE_HEADERS= {headers()} $(wildcard $(patsubst -I%,%/rtfinalize.h,$(filter -I%,$(CPPFLAGS))))
"""),
        After(r"^# Build the interpreter$", f"""
$(BUILDPYTHON) Programs/_testembed: $(filter %.a,$(LIBS))

$(RTFINALIZE_OBJS): {PLACE}/%.o: $(srcdir)/{PLACE}/%.c $(PYTHON_HEADERS)
	@mkdir -p $(@D)
	$(CC) -c $(PY_CORE_CFLAGS) -o $@ $<
"""),
    ],
}
