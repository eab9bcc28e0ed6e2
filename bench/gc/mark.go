// bench/gc/mark.go -- see gc_mark.c.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"unsafe"
)

const (
	nlists       = 1000
	ways         = 16
	subtreeDepth = 4
	subtreeBytes = 65536*96 + 4369*128
)

type item struct {
	next    *item
	payload [7]uint64
}

type cell struct{ left, right *cell }

type leaf64 struct {
	p     *leaf64
	words [7]uint64
}

var lists []*item
var tree []unsafe.Pointer
var cells *cell

// Below a branch are branches, or leaves of one of five sizes.
type branch struct{ below [ways]unsafe.Pointer }

type leaf80 struct {
	leaf64
	_ [2]uint64
}
type leaf96 struct {
	leaf64
	_ [4]uint64
}
type leaf112 struct {
	leaf64
	_ [6]uint64
}
type leaf128 struct {
	leaf64
	_ [8]uint64
}

func listsMake(live uint64) uint64 {
	count := live / 64
	all := make([]*item, count)
	for i := range all {
		all[i] = &item{}
	}
	r := seed(7)
	for i := count - 1; i > 0; i-- {
		j := r.between(0, i)
		all[i], all[j] = all[j], all[i]
	}
	lists = make([]*item, nlists)
	for i, n := range all {
		n.payload[0] = uint64(i)
		n.next = lists[i%nlists]
		lists[i%nlists] = n
		all[i] = nil
	}
	return count
}

func listsCount() (count uint64) {
	for i, n := range lists {
		for ; n != nil; n = n.next {
			if n.payload[0]%nlists == uint64(i) {
				count++
			}
		}
	}
	return count
}

func cellsMake(live uint64) uint64 {
	count := live / 16
	all := make([]*cell, count)
	for i := range all {
		all[i] = &cell{}
	}
	r := seed(7)
	for i := count - 1; i > 0; i-- {
		j := r.between(0, i)
		all[i], all[j] = all[j], all[i]
	}
	for i, n := range all {
		if 2*i+1 < len(all) {
			n.left = all[2*i+1]
		}
		if 2*i+2 < len(all) {
			n.right = all[2*i+2]
		}
	}
	cells = all[0]
	for i := range all {
		all[i] = nil
	}
	return count
}

func (n *cell) count() uint64 {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func leafMake(size uint64) unsafe.Pointer {
	switch size {
	case 0:
		return unsafe.Pointer(&leaf64{})
	case 1:
		return unsafe.Pointer(&leaf80{})
	case 2:
		return unsafe.Pointer(&leaf96{})
	case 3:
		return unsafe.Pointer(&leaf112{})
	}
	return unsafe.Pointer(&leaf128{})
}

func subtreeMake(r *rng, depth uint64, count *uint64) unsafe.Pointer {
	*count++
	if depth == 0 {
		leaf := leafMake(r.between(0, 4))
		(*leaf64)(leaf).words[0] = *count
		return leaf
	}
	n := &branch{}
	for i := range n.below {
		n.below[i] = subtreeMake(r, depth-1, count)
	}
	return unsafe.Pointer(n)
}

func treeMake(roots uint64) (count uint64) {
	r := seed(8)
	tree = make([]unsafe.Pointer, roots)
	for i := range tree {
		tree[i] = subtreeMake(r, subtreeDepth, &count)
	}
	return count
}

func subtreeCount(n unsafe.Pointer, depth uint64) uint64 {
	count := uint64(1)
	if depth > 0 {
		for _, p := range (*branch)(n).below {
			count += subtreeCount(p, depth-1)
		}
	}
	return count
}

func treeCount() (count uint64) {
	for _, n := range tree {
		count += subtreeCount(n, subtreeDepth)
	}
	return count
}

func median(v []float64) float64 {
	sort.Float64s(v)
	return v[len(v)/2]
}

func main() {
	o := options{"shape": 0, "live": 256 << 20, "rounds": 5}
	o.read()
	var objects uint64
	count := listsCount
	switch o["shape"] {
	case 0:
		objects = listsMake(o["live"])
	case 1:
		objects = treeMake(1 + o["live"]/subtreeBytes)
		count = treeCount
	default:
		objects = cellsMake(o["live"])
		count = func() uint64 { return cells.count() }
	}
	if count() != objects {
		broken("objects lost")
	}
	runtime.GC()
	var seconds, used []float64
	for i := uint64(0); i < o["rounds"]; i++ {
		begin, cpuBegin := now(), cpu()
		runtime.GC()
		seconds = append(seconds, (now() - begin).Seconds())
		used = append(used, cpu()-cpuBegin)
	}
	if count() != objects {
		broken("objects lost")
	}
	middle := median(seconds)
	report("gc_mark", objects, middle,
		fmt.Sprintf(",\"cpu_s\":%.6f,\"ns_object\":%.3f,\"slowest_ms\":%.3f",
			median(used), middle*1e9/float64(objects),
			seconds[len(seconds)-1]*1e3))
}
