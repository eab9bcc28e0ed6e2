// bench/gc/churn.go -- see gc_churn.c.
package main

import (
	"fmt"
	"unsafe"
)

type node struct {
	other, unused *node
	words, key    uint64
}
type node48 struct {
	node
	_ [2]uint64
}
type node64 struct {
	node
	_ [4]uint64
}
type node80 struct {
	node
	_ [6]uint64
}
type node96 struct {
	node
	_ [8]uint64
}
type node112 struct {
	node
	_ [10]uint64
}
type node128 struct {
	node
	_ [12]uint64
}

var live, noscan, linked uint64
var nodes []*node

// allocate returns a node; the sizes with pointers are those listed.
func allocate(bytes uint64) *node {
	if noscan != 0 {
		words := make([]uint64, bytes/8)
		return (*node)(unsafe.Pointer(&words[0]))
	}
	switch bytes {
	case 32:
		return &node{}
	case 48:
		return (*node)(unsafe.Pointer(&node48{}))
	case 64:
		return (*node)(unsafe.Pointer(&node64{}))
	case 80:
		return (*node)(unsafe.Pointer(&node80{}))
	case 96:
		return (*node)(unsafe.Pointer(&node96{}))
	case 112:
		return (*node)(unsafe.Pointer(&node112{}))
	case 128:
		return (*node)(unsafe.Pointer(&node128{}))
	}
	broken("no such size")
	return nil
}

func (n *node) last() *uint64 {
	return (*uint64)(unsafe.Add(unsafe.Pointer(n), n.words*8-8))
}

func nodeMake(r *rng, min, max uint64) *node {
	bytes := r.between(min, max) / 16 * 16
	n := allocate(bytes)
	n.words = bytes / 8
	n.key = uint64(uintptr(unsafe.Pointer(n))) * 0x9E3779B97F4A7C15
	*n.last() = n.key
	if linked != 0 {
		n.other = nodes[r.between(0, live-1)]
	}
	return n
}

func (n *node) check() {
	key := uint64(uintptr(unsafe.Pointer(n))) * 0x9E3779B97F4A7C15
	if n.key != key || *n.last() != key {
		broken("contents lost")
	}
}

func main() {
	o := options{"live": 200000, "ops": 4 << 20, "min": 32, "max": 128,
		"noscan": 0, "linked": 0}
	o.read()
	live, noscan, linked = o["live"], o["noscan"], o["linked"]
	begin := now()
	r := seed(3)
	nodes = make([]*node, live)
	for i := range nodes {
		nodes[i] = nodeMake(r, o["min"], o["max"])
	}
	var l latency
	before := now()
	for n := uint64(0); n < o["ops"]; n++ {
		i := r.between(0, live-1)
		nodes[i].check()
		made := nodeMake(r, o["min"], o["max"])
		if linked != 0 {
			nodes[i].other = nil
		}
		nodes[i] = made
		t := now()
		l.add(uint64(t - before))
		before = t
	}
	for _, n := range nodes {
		n.check()
	}
	report("gc_churn", o["ops"], (now() - begin).Seconds(),
		fmt.Sprintf(",\"p50_us\":%.3f,\"p99_us\":%.3f,\"p9999_us\":%.3f,"+
			"\"max_us\":%.3f", l.at(0.5), l.at(0.99), l.at(0.9999),
			float64(l.longest)*1e-3))
}
