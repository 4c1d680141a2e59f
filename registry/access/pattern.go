package access

import (
	"regexp"
	"sync"
)

// pattern compiles an expression when it is first asked for: processes that
// serve nobody need none.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
