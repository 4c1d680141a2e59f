package promotion

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// model is the naive idea of one channel: all it ever held, oldest first, with
// "<" before what came by a rollback. It is a string so that it can be a map
// key and compared.
type model string

func (m model) steps() []string {
	if m == "" {
		return nil
	}
	return strings.Split(string(m), " ")
}

func (m model) current() digest.Digest {
	steps := m.steps()
	if len(steps) == 0 {
		return ""
	}
	return digest.Digest(strings.TrimPrefix(steps[len(steps)-1], "<"))
}

func (m model) then(step string) model {
	return model(strings.TrimPrefix(string(m)+" "+step, " "))
}

func (m model) promote(d digest.Digest) model {
	if m.current() == d {
		return m
	}
	return m.then(string(d))
}

// back is where a rollback goes; "" for nowhere.
func (m model) back(revoked map[digest.Digest]bool) digest.Digest {
	left := []string{string(m.current())}
	steps := m.steps()
	for i, step := range steps {
		if strings.HasPrefix(step, "<") {
			left = append(left, strings.TrimPrefix(steps[i-1], "<"))
		}
	}
	for _, step := range slices.Backward(steps) {
		if d := strings.TrimPrefix(step, "<"); !slices.Contains(left, d) && !revoked[digest.Digest(d)] {
			return digest.Digest(d)
		}
	}
	return ""
}

func (m model) rollback(revoked map[digest.Digest]bool) model {
	return m.then("<" + string(m.back(revoked)))
}
