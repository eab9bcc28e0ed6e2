// bench/gc/gcbench.go -- see gc_gcbench.c.
package main

type node struct {
	left, right *node
	i, j        int32
}

var made uint64

func nodeMake() *node {
	made++
	return &node{}
}

func grow(n *node, depth uint64) {
	if depth > 0 {
		n.left, n.right = nodeMake(), nodeMake()
		grow(n.left, depth-1)
		grow(n.right, depth-1)
	}
}

func treeMake(depth uint64) *node {
	made++
	if depth == 0 {
		return &node{}
	}
	return &node{left: treeMake(depth - 1), right: treeMake(depth - 1)}
}

func (n *node) count() uint64 {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func check(n *node, depth uint64) {
	if n.count() != 2<<depth-1 {
		broken("nodes lost")
	}
}

func main() {
	o := options{"stretch": 18, "kept": 16, "doubles": 500000}
	o.read()
	stretch, kept := o["stretch"], o["kept"]
	begin := now()
	check(treeMake(stretch), stretch)
	root := nodeMake()
	grow(root, kept)
	array := make([]float64, o["doubles"])
	for i := range array[:len(array)/2] {
		array[i] = 1 / float64(i+1)
	}
	for d := uint64(4); d <= kept; d += 2 {
		count := 2 * uint64(2<<stretch-1) / (2<<d - 1)
		for i := uint64(0); i < count; i++ {
			n := nodeMake()
			grow(n, d)
			check(n, d)
		}
		for i := uint64(0); i < count; i++ {
			check(treeMake(d), d)
		}
	}
	check(root, kept)
	if len(array) > 2000 && array[1000] != 1.0/1001 {
		broken("array lost")
	}
	report("gc_gcbench", made, (now() - begin).Seconds(), "")
}
