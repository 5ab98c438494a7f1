package release

// forest says which of some things are connected: each names one before it in its
// part, or itself.
type forest []int

func newForest(n int) forest {
	f := make(forest, n)
	for i := range f {
		f[i] = i
	}
	return f
}

func (f forest) root(i int) int {
	for f[i] != i {
		i = f[i]
	}
	return i
}

func (f forest) join(a, b int) {
	a, b = f.root(a), f.root(b)
	f[max(a, b)] = min(a, b)
}

// parts returns the things of each part, ascending.
func (f forest) parts() [][]int {
	place := make(map[int]int)
	var parts [][]int
	for i := range f {
		root := f.root(i)
		if root == i {
			place[i] = len(parts)
			parts = append(parts, nil)
		}
		parts[place[root]] = append(parts[place[root]], i)
	}
	return parts
}
