// bench/gc/alloc.go -- see gc_alloc.c.
package main

import "fmt"

type t16 struct {
	p *t16
	_ [1]uint64
}
type t32 struct {
	p *t32
	_ [3]uint64
}
type t64 struct {
	p *t64
	_ [7]uint64
}
type t128 struct {
	p *t128
	_ [15]uint64
}
type t512 struct {
	p *t512
	_ [63]uint64
}

//go:noinline
func make16() *t16 { return &t16{} }

//go:noinline
func make32() *t32 { return &t32{} }

//go:noinline
func make64() *t64 { return &t64{} }

//go:noinline
func make128() *t128 { return &t128{} }

//go:noinline
func make512() *t512 { return &t512{} }

func allocate(size, ops uint64) {
	for i := uint64(0); i < ops; i++ {
		switch size {
		case 16:
			n := make16()
			n.p = n
		case 32:
			n := make32()
			n.p = n
		case 64:
			n := make64()
			n.p = n
		case 128:
			n := make128()
			n.p = n
		case 512:
			n := make512()
			n.p = n
		default:
			broken("no such size")
		}
	}
}

//go:noinline
func makeNoscan8() *uint64 { return new(uint64) }

//go:noinline
func makeNoscan(size uint64) *uint64 { return &make([]uint64, size/8)[0] }

func allocateNoscan(size, ops, keep uint64) {
	kept := make([]*uint64, keep)
	at := uint64(0)
	for i := uint64(0); i < ops; i++ {
		var p *uint64
		if size == 8 {
			p = makeNoscan8()
		} else {
			p = makeNoscan(size)
		}
		*p = i
		if kept[at] != nil && *kept[at] != i-keep {
			broken("contents lost")
		}
		kept[at] = p
		at++
		if at == keep {
			at = 0
		}
	}
}

func main() {
	o := options{"threads": 1, "size": 64, "ops": 16 << 20, "noscan": 0,
		"keep": 1}
	o.read()
	begin := now()
	parallel(o["threads"], func(uint64) {
		if o["noscan"] != 0 {
			allocateNoscan(o["size"], o["ops"], o["keep"])
		} else {
			allocate(o["size"], o["ops"])
		}
	})
	seconds := (now() - begin).Seconds()
	report("gc_alloc", o["ops"]*o["threads"], seconds,
		fmt.Sprintf(",\"threads\":%d,\"ns_object\":%.3f", o["threads"],
			seconds*1e9/float64(o["ops"])))
}
