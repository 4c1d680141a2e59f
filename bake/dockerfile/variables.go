package dockerfile

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// maxVariables bounds all variables of a stage together, in bytes, and
// maxExpanded what one word may become.
const (
	maxVariables   = 64 << 10
	maxReplaceable = 4 << 10
	maxExpanded    = 16 << 20
)

// variables is an environment: KEY=value, each key once, in the order in which
// they were first set.
type variables []string

// Get implements shell.EnvGetter.
func (v *variables) Get(key string) (string, bool) {
	for _, kv := range *v {
		if k, value, _ := strings.Cut(kv, "="); k == key {
			return value, true
		}
	}
	return "", false
}

// Keys implements shell.EnvGetter.
func (v *variables) Keys() []string {
	keys := make([]string, len(*v))
	for i, kv := range *v {
		keys[i], _, _ = strings.Cut(kv, "=")
	}
	return keys
}

// set replaces a variable where it stands, or adds it.
func (v *variables) set(key, value string) {
	for i, kv := range *v {
		if k, _, _ := strings.Cut(kv, "="); k == key {
			(*v)[i] = key + "=" + value
			return
		}
	}
	*v = append(*v, key+"="+value)
}

func (v variables) clone() variables { return slices.Clone(v) }

func (v variables) size() int {
	n := 0
	for _, kv := range v {
		n += len(kv)
	}
	return n
}

var (
	replacement = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\$\{[A-Za-z0-9_]+/`)
	})
	errTooLarge = errors.New("the variables are too large")
)

// check refuses a word whose expansion could take much memory.
func (v *variables) check(word string) error {
	size := v.size()
	if size > maxVariables {
		return errTooLarge
	}
	if strings.Count(word, "$")*size > maxExpanded {
		return errTooLarge
	}
	if n := len(replacement().FindAllStringIndex(word, -1)); n > 0 {
		if n > 4 || size > maxReplaceable || (n > 1 && nested(word)) {
			return errors.New("the replacements are too many or stand inside each other")
		}
	}
	return nil
}

// nested says whether one ${ } stands inside another.
func nested(word string) bool {
	depth := 0
	for i := 0; i < len(word); i++ {
		switch {
		case strings.HasPrefix(word[i:], "${"):
			if depth++; depth > 1 {
				return true
			}
		case word[i] == '}' && depth > 0:
			depth--
		}
	}
	return false
}

// expand replaces the variables in a word and takes its quotes away.
func (v *variables) expand(lex *shell.Lex, word string) (string, error) {
	if err := v.check(word); err != nil {
		return "", err
	}
	out, _, err := lex.ProcessWord(word, v)
	if err == nil && len(out) > maxExpanded {
		err = errTooLarge
	}
	return out, err
}
