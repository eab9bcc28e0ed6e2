// bench/gc/trees.go -- see gc_trees.c.
package main

import "fmt"

type node struct{ left, right *node }

func treeMake(depth uint64) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{treeMake(depth - 1), treeMake(depth - 1)}
}

func (n *node) count() uint64 {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func check(n *node, depth uint64) uint64 {
	c := n.count()
	if c != 2<<depth-1 {
		broken("nodes lost")
	}
	return c
}

func main() {
	o := options{"threads": 1, "depth": 18}
	o.read()
	depth, threads := o["depth"], o["threads"]
	begin := now()
	nodes := make([]uint64, threads)
	parallel(threads, func(share uint64) {
		var kept *node
		made := uint64(0)
		if share == 0 {
			made += check(treeMake(depth+1), depth+1)
			kept = treeMake(depth)
		}
		for d := uint64(4); d <= depth; d += 2 {
			for i := share; i < 1<<(depth-d+4); i += threads {
				made += check(treeMake(d), d)
			}
		}
		if kept != nil {
			made += check(kept, depth)
		}
		nodes[share] = made
	})
	seconds := (now() - begin).Seconds()
	total := uint64(0)
	for _, n := range nodes {
		total += n
	}
	report("gc_trees", total, seconds, fmt.Sprintf(",\"threads\":%d", threads))
}
