// bench/gc/large.go -- see gc_large.c.
package main

import "unsafe"

const page = 4096 / 8

// An object: pointers to itself, one per OS page, or the same as numbers.
type large struct {
	bytes    uint64
	pointers []unsafe.Pointer
	numbers  []uint64
}

func largeMake(bytes uint64, hasPointers bool) *large {
	l := &large{bytes: bytes}
	words := bytes / 8
	if hasPointers {
		l.pointers = make([]unsafe.Pointer, words)
		for i := uint64(2); i < bytes/4096*page; i += page {
			l.pointers[i] = unsafe.Pointer(&l.pointers[0])
		}
	} else {
		l.numbers = make([]uint64, words)
		for i := uint64(2); i < bytes/4096*page; i += page {
			l.numbers[i] = i
		}
	}
	return l
}

func (l *large) check() {
	for i := uint64(2); i < l.bytes/4096*page; i += page {
		if l.pointers != nil {
			if l.pointers[i] != unsafe.Pointer(&l.pointers[0]) {
				broken("contents lost")
			}
		} else if l.numbers[i] != i {
			broken("contents lost")
		}
	}
}

// sizeLog: every power of two between min and max is equally likely.
func sizeLog(r *rng, min, max uint64) uint64 {
	steps := uint64(0)
	for min<<(steps+1) <= max {
		steps++
	}
	if steps > 0 {
		min <<= r.between(0, steps-1)
	} else {
		min <<= r.between(0, 0)
	}
	if min*2 < max {
		max = min * 2
	}
	return r.between(min, max)
}

func main() {
	o := options{"live": 64, "ops": 8000, "min": 32 << 10, "max": 4 << 20}
	o.read()
	begin := now()
	r := seed(5)
	ring := make([]*large, o["live"])
	for n := uint64(0); n < o["ops"]; n++ {
		slot := &ring[n%o["live"]]
		if *slot != nil {
			(*slot).check()
		}
		*slot = largeMake(sizeLog(r, o["min"], o["max"])/8*8, n%2 == 0)
	}
	report("gc_large", o["ops"], (now() - begin).Seconds(), "")
}
