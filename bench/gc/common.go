// bench/gc/common.go -- what the Go programs share: the counterpart of
// ../bench.h and gc_adapter.h. The algorithms are those of gc_*.c.
package main

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options map[string]uint64

// read takes name=value arguments into the options; K, M, G are powers of
// 1024.
func (o options) read() {
	for _, a := range os.Args[1:] {
		name, text, _ := strings.Cut(a, "=")
		shift := uint(0)
		if i := strings.IndexAny(text, "KMG"); i > 0 && i == len(text)-1 {
			shift = map[byte]uint{'K': 10, 'M': 20, 'G': 30}[text[i]]
			text = text[:i]
		}
		v, err := strconv.ParseUint(text, 10, 64)
		if _, known := o[name]; !known || err != nil {
			fmt.Fprintln(os.Stderr, "bad argument:", a)
			os.Exit(64)
		}
		o[name] = v << shift
	}
}

func broken(what string) {
	fmt.Fprintln(os.Stderr, "bench: broken:", what)
	os.Exit(70)
}

type rng struct{ state uint64 }

func seed(s uint64) *rng { return &rng{(s + 1) * 0x9E3779B97F4A7C15} }

func (r *rng) random() uint64 {
	r.state ^= r.state >> 12
	r.state ^= r.state << 25
	r.state ^= r.state >> 27
	return (r.state * 2685821657736338717) >> 11
}

func (r *rng) between(min, max uint64) uint64 {
	return min + r.random()%(max-min+1)
}

var start = time.Now()

func now() time.Duration { return time.Since(start) }

// cpu is the time of the whole process, the collector included.
func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) * 1e-9
}

// parallel runs f(0) ... f(count-1) at once.
func parallel(count uint64, f func(i uint64)) {
	var all sync.WaitGroup
	for i := uint64(0); i < count; i++ {
		all.Add(1)
		go func(i uint64) {
			defer all.Done()
			f(i)
		}(i)
	}
	all.Wait()
}

// latency is a histogram: 16 steps per power of two, from 1 ns.
type latency struct {
	steps          [64 << 4]uint64
	count, longest uint64
}

func (l *latency) add(ns uint64) {
	b := bits.Len64(ns|1) - 1
	shift := 0
	if b > 4 {
		shift = b - 4
	}
	l.steps[uint64(shift<<4)+ns>>shift]++
	l.count++
	if ns > l.longest {
		l.longest = ns
	}
}

func (l *latency) at(share float64) float64 {
	left := uint64((1 - share) * float64(l.count))
	for i := len(l.steps) - 1; i > 0; i-- {
		if l.steps[i] > left {
			shift := 0
			if i>>4 > 1 {
				shift = i>>4 - 1
			}
			return float64((i-shift<<4)<<shift) * 1e-3
		}
		left -= l.steps[i]
	}
	return 0
}

// report prints the JSON line. Stops are counted in pairs: a mark has two.
func report(name string, ops uint64, seconds float64, more string) {
	s := debug.GCStats{PauseQuantiles: make([]time.Duration, 2)}
	debug.ReadGCStats(&s)
	fmt.Printf("{\"bench\":\"%s\",\"ops\":%d,\"seconds\":%.6f%s,"+
		"\"collections\":%d,\"pause_total_ms\":%.3f,\"pause_max_ms\":%.3f}\n",
		name, ops, seconds, more, s.NumGC,
		float64(s.PauseTotal)*1e-6, float64(s.PauseQuantiles[1])*1e-6)
	runtime.KeepAlive(start)
}
