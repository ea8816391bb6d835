"""The adapter becomes part of CPython's core, and Python is linked again when the library changed."""

from pathlib import Path

from tree import After, Edit, ExtendLine

ADAPTER = Path(__file__).resolve().parents[3] / "cpython"
# Where the adapter's files stand in the tree.
PLACE = "Python/rtfinalize"
# Of the library: among the folders that configure was given for headers.
LIBRARY_HEADER = "$(wildcard $(patsubst -I%,%/rtfinalize.h,$(filter -I%,$(CONFIGURE_CPPFLAGS) $(CPPFLAGS))))"


def adapter(suffix: str) -> list[Path]:
    return sorted(ADAPTER.glob(f"*{suffix}"))


def edits(edited: dict[str, list[Edit]]) -> dict[str, list[Edit]]:
    """What depends on our headers: all of the core if an edited header includes one, else the sources that
    were edited."""
    objects = " ".join(f"{PLACE}/{file.stem}.o" for file in adapter(".c"))
    headers = " ".join(f"$(srcdir)/{PLACE}/{file.name}" for file in adapter(".h"))
    users = " ".join(f"{name.removesuffix('.c')}.o" for name in sorted(edited) if name.endswith(".c"))
    makefile: list[Edit] = [
        ExtendLine(r"^PY_CPPFLAGS=", f" -I$(srcdir)/{PLACE}"),
        After(r"^PYTHON_OBJS=\s*\\$", "\t\t$(RTFINALIZE_OBJS) \\\n"),
        After(r"^# Python$", f"""
RTFINALIZE_OBJS= {objects}
RTFINALIZE_USERS= {users}
RTFINALIZE_HEADERS= {headers} {LIBRARY_HEADER}
"""),
        # The objects get a rule because configure makes no folder for them. The build's programs that only
        # make sources are not linked again for a new library: everything would be made again after them.
        After(r"^# Build the interpreter$", f"""
$(BUILDPYTHON) Programs/_testembed: $(filter %.a,$(LIBS))

$(RTFINALIZE_USERS): $(RTFINALIZE_HEADERS)

$(RTFINALIZE_OBJS): {PLACE}/%.o: $(srcdir)/{PLACE}/%.c $(RTFINALIZE_HEADERS) $(PYTHON_HEADERS)
	@mkdir -p $(@D)
	$(CC) -c $(PY_CORE_CFLAGS) -o $@ $<

"""),
    ]
    if any(name.endswith(".h") and "#include" in edit.text for name in edited for edit in edited[name]):
        makefile.append(After(r"^PYTHON_HEADERS=\s*\\$", "\t\t$(RTFINALIZE_HEADERS) \\\n"))
    return {"Makefile.pre.in": makefile}
