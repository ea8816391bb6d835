# make            the shared and the static library, in $(CARGO_TARGET_DIR)/release
# make demo       a C host that finalizes with everything in flight (FILE=… is the text it logs)
# make windows    the same for Windows (rtfinalize.dll, its import library, the static library), by MinGW, in
#                 $(CARGO_TARGET_DIR)/x86_64-pc-windows-gnu/release
# make test       everything; closes with `N passed, N failed`
# make test-windows  the Rust and C tests for Windows, by MinGW and as for MSVC by Clang, under Wine
# make check      formatting and lints alone
# make bench      benchmarks
# make cpython    a CPython 3.13 with the library in it, target/cpython/python (CPYTHON_SRC=DIR is its source)
# make cpython-stock   the same CPython as it comes, to compare
# make demo-cpython    one Python script under both, and what became of every byte it wrote
# make bench-cpython   speed of stock and fork, alternating; takes pyperf from PyPI
# make test-cpython    the failures its users report, under both (RUNS=20 each), everyday exits to the byte, then
#                      CPython's own core tests
# make test-cpython-wide   more of CPython's own tests
# make wheel      the Python package for stock CPython, target/wheels (PYTHON=… has the headers; python/package)
# make sdist      its sources, which build without a network, target/sdist
# make test-wheel the wheels, in every CPython from 3.9 on that is found or can be fetched, and the sdist
# make test-python   in each of them the package's own tests, programs in trouble at their end, stock beside the package
#                 (RUNS=20 each), everyday exits to the byte, and packages from PyPI at their end (RUNS=20 each);
#                 FEW=1 takes the oldest Python, the newest, and a free-threaded one
# make lint-python   the types of the package, and what is wrong in scripts; a part of test-python
# make test-pyo3   the crate for Rust hosts that embed Python by PyO3 (python/pyo3), with the first Python that has a
#                 libpython (python/tests/pyo3 --every takes them all); a part of test-python
# make bench-python   what the package costs a program from start to end, stock beside the package (RUNS=40)
# make python-free-threaded  a free-threaded CPython 3.13 for the two, target/cpython/stock-nogil/python; minutes
# make demo-python     one Python script by stock CPython and by the same with the package, beside each other
#                 (PYTHON=… is the CPython)
# make header     include/rtfinalize.h from src/capi, and include/rtfinalize_python.c from python
# make install    PREFIX, LIBDIR, INCLUDEDIR, PCLIBDIR, DESTDIR; and make uninstall
#
# CARGO, CC, CXX and CARGO_TARGET_DIR are honoured.

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
# Absolute, for what runs in another folder.
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export CARGO CARGO_TARGET_DIR

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PCLIBDIR ?= $(LIBDIR)/pkgconfig
INSTALL ?= install

VERSION := $(shell sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q;}' Cargo.toml)
SONAME := librtfinalize.so.$(firstword $(subst ., ,$(VERSION)))
RELEASE := $(CARGO_TARGET_DIR)/release
PROGRAMS := $(CARGO_TARGET_DIR)/c

all:
	$(CARGO) build --release --features reserve
	@ln -sf librtfinalize.so $(RELEASE)/$(SONAME)

# On another system than Windows it makes the machine ready first.
windows:
	@c_tests/windows/prepare
	c_tests/windows/with $(CARGO) build --release --features reserve --target x86_64-pc-windows-gnu

demo-needs test-needs wheel-needs demo-python-needs: %-needs:
	@c_tests/prerequisites $*

demo: demo-needs
	@$(MAKE) --no-print-directory all
	@mkdir -p $(PROGRAMS)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Wpedantic $(WERROR) $(CFLAGS) -pthread -Iinclude \
		c_tests/demo.c $(wildcard c_tests/demo/*.c) -o $(PROGRAMS)/demo \
		-L$(RELEASE) -Wl,-rpath,$(RELEASE) $(LDFLAGS) -lrtfinalize
	@$(PROGRAMS)/demo

test: test-needs
	@c_tests/run

# The tests that make sense there, under Wine.
test-windows:
	@c_tests/prerequisites test
	@c_tests/run windows msvc

check lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --features reserve -- -D warnings

bench: all
	benches/run

cpython: all
	@c_tests/cpython/build fork

cpython-stock:
	@c_tests/cpython/build stock

demo-cpython: cpython cpython-stock
	@c_tests/cpython/demo

bench-cpython: cpython cpython-stock
	@c_tests/cpython/bench

test-cpython: test-cpython-scripts test-cpython-table test-cpython-exits test-cpython-core

test-cpython-scripts:
	@cd c_tests/cpython && python3 -B -m unittest -q

test-cpython-table: cpython cpython-stock
	@c_tests/cpython/table --runs $(or $(RUNS),20)

test-cpython-exits: cpython cpython-stock
	@c_tests/cpython/exits/run

test-cpython-core: cpython cpython-stock
	@c_tests/cpython/suite core

test-cpython-wide: cpython cpython-stock
	@c_tests/cpython/suite wide

wheel: wheel-needs
	@python/package wheel

sdist: wheel-needs
	@python/package sdist

# So many Pythons beside each other, and of few runs so many cases.
AT_ONCE ?= 2
CASES_AT_ONCE := $(if $(filter 1 2 3,$(RUNS)),4,1)

test-wheel: wheel sdist
	@python/tests/wheel --runs $(or $(RUNS),1) --at-once $(AT_ONCE) $(FEW:%=--few)
	@python/tests/sdist

test-pyo3: wheel-needs
	@python/tests/pyo3

lint-python: wheel
	@python/tests/lint

test-python: lint-python test-wheel test-pyo3 test-python-behaviour test-python-table test-python-packages

test-python-behaviour: all wheel
	@python/tests/behaviour --at-once $(AT_ONCE) $(FEW:%=--few)

test-python-table: all wheel cpython-stock
	@python/tests/table --runs $(or $(RUNS),20) --at-once $(CASES_AT_ONCE) $(FEW:%=--few)

test-python-packages: wheel
	@python/tests/packages --runs $(or $(RUNS),20) --at-once $(CASES_AT_ONCE) $(FEW:%=--few)

bench-python: wheel
	@python/bench --runs $(or $(RUNS),40)

demo-python: demo-python-needs
	@python/demo/run

python-free-threaded:
	@c_tests/cpython/build stock nogil

header:
	RTFINALIZE_BLESS=1 $(CARGO) test --quiet --test header the_shipped_header_is_the_generated_one
	python/host/amalgamate

install: all
	$(INSTALL) -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(PCLIBDIR)
	$(INSTALL) -m 755 $(RELEASE)/librtfinalize.so $(DESTDIR)$(LIBDIR)/librtfinalize.so.$(VERSION)
	ln -sf librtfinalize.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/librtfinalize.so
	$(INSTALL) -m 644 $(RELEASE)/librtfinalize.a $(DESTDIR)$(LIBDIR)/librtfinalize.a
	$(INSTALL) -m 644 include/rtfinalize.h include/rtfinalize_python.h include/rtfinalize_python.c $(DESTDIR)$(INCLUDEDIR)
	sed -e 's|@VERSION@|$(VERSION)|' -e 's|@PREFIX@|$(PREFIX)|' \
		-e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' \
		rtfinalize.pc.in > $(DESTDIR)$(PCLIBDIR)/rtfinalize.pc
	chmod 644 $(DESTDIR)$(PCLIBDIR)/rtfinalize.pc
	@# The loader finds a library outside its default directories only after this.
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall:
	$(RM) $(DESTDIR)$(LIBDIR)/librtfinalize.a $(DESTDIR)$(LIBDIR)/librtfinalize.so \
		$(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/librtfinalize.so.$(VERSION) \
		$(DESTDIR)$(INCLUDEDIR)/rtfinalize.h $(DESTDIR)$(INCLUDEDIR)/rtfinalize_python.h \
		$(DESTDIR)$(INCLUDEDIR)/rtfinalize_python.c $(DESTDIR)$(PCLIBDIR)/rtfinalize.pc

clean:
	$(CARGO) clean

.PHONY: all windows test-windows demo demo-needs test test-needs check lint bench cpython cpython-stock demo-cpython \
	bench-cpython test-cpython test-cpython-scripts test-cpython-table test-cpython-exits test-cpython-core \
	test-cpython-wide wheel wheel-needs sdist test-wheel test-pyo3 test-python test-python-behaviour test-python-table \
	test-python-packages lint-python bench-python demo-python demo-python-needs python-free-threaded header install uninstall clean
