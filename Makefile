# Thin: installs what is missing, then calls CMake, ninja and ctest.
#
#   make          the library and the command, in build/
#   make run      a real program on almacen, next to the system's malloc
#   make test     every check in every configuration (scripts/test)
#   make bench    benchmarks against other allocators, ARGS="--help", and
#                 against other collectors, GC_ARGS="--help", and of programs
#                 of libgc on both libraries, LIBGC_ARGS="--help"
#   make soak     the stress tests for SOAK_SECONDS each
#   make install  to PREFIX (/usr/local); DESTDIR is honoured
#   make format   clang-format over the tree
#   make clean    remove build/

PREFIX ?= /usr/local
SOAK_SECONDS ?= 600
ARGS ?=
GC_ARGS ?=
LIBGC_ARGS ?=

.PHONY: all run test bench soak install format clean

all:
	@scripts/bootstrap build
	@test -f build/build.ninja || cmake -S . -B build -G Ninja
	@cmake --build build

run: all
	PYTHONMALLOC=malloc build/bin/almacen run --compare -- \
	  /usr/bin/python3 examples/orders.py

test:
	@scripts/test

bench: all
	@scripts/bootstrap bench
	@python3 bench/run.py $(ARGS)
	@python3 bench/gc.py $(GC_ARGS)
	@python3 bench/libgc.py $(LIBGC_ARGS)

soak: all
	@scripts/bootstrap test
	@scripts/soak $(SOAK_SECONDS)

install: all
	cmake --install build --prefix $(PREFIX)

format:
	@scripts/bootstrap test
	@scripts/format

clean:
	rm -rf build
