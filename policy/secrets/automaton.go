package secrets

// automaton finds keywords in text in one pass, without regard to the case of
// ASCII letters (Aho and Corasick, 1975, as a complete table).
type automaton struct {
	class   [256]uint8 // letters that no keyword has share class 0
	classes int
	next    []uint16   // state*classes + class
	output  [][]uint16 // state -> keywords that end there
}

// newAutomaton takes keywords in lower case, none of them empty.
func newAutomaton(keywords []string) *automaton {
	a := &automaton{classes: 1}
	for _, k := range keywords {
		for i := range len(k) {
			if a.class[k[i]] == 0 {
				a.class[k[i]] = uint8(a.classes)
				a.classes++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		a.class[c] = a.class[c+'a'-'A']
	}
	a.state()
	for n, k := range keywords {
		at := 0
		for i := range len(k) {
			slot := at*a.classes + int(a.class[k[i]])
			if a.next[slot] == 0 {
				a.next[slot] = uint16(a.state())
			}
			at = int(a.next[slot])
		}
		a.output[at] = append(a.output[at], uint16(n))
	}
	a.link()
	return a
}

func (a *automaton) state() int {
	a.next = append(a.next, make([]uint16, a.classes)...)
	a.output = append(a.output, nil)
	return len(a.output) - 1
}

// link completes the table: where a word ends, its longest suffix goes on.
func (a *automaton) link() {
	suffix := make([]uint16, len(a.output))
	var queue []uint16
	for c := range a.classes {
		if s := a.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		row, back := int(s)*a.classes, int(suffix[s])*a.classes
		a.output[s] = append(a.output[s], a.output[suffix[s]]...)
		for c := range a.classes {
			if t := a.next[row+c]; t != 0 {
				suffix[t] = a.next[back+c]
				queue = append(queue, t)
			} else {
				a.next[row+c] = a.next[back+c]
			}
		}
	}
}

// find calls hit with every keyword and the place behind it.
func (a *automaton) find(text []byte, hit func(keyword uint16, end int)) {
	at := 0
	for i, b := range text {
		at = int(a.next[at*a.classes+int(a.class[b])])
		for _, k := range a.output[at] {
			hit(k, i+1)
		}
	}
}
