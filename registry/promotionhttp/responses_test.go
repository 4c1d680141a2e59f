package promotionhttp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// statusNames are the statuses as Go calls them.
var statusNames = map[string]int{
	"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusMethodNotAllowed": 405,
	"StatusConflict": 409, "StatusRequestEntityTooLarge": 413, "StatusRequestURITooLong": 414, "StatusUnsupportedMediaType": 415,
	"StatusUnprocessableEntity": 422, "StatusTooManyRequests": 429, "StatusInternalServerError": 500, "StatusServiceUnavailable": 503,
}

// answersIn are the statuses with which calls of these functions in a folder
// answer.
func answersIn(t *testing.T, folder string, functions ...string) []int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); !ok || !slices.Contains(functions, name.Name) {
				return true
			}
			for _, arg := range call.Args {
				status, ok := arg.(*ast.SelectorExpr)
				if !ok || !strings.HasPrefix(status.Sel.Name, "Status") {
					continue
				}
				if statusNames[status.Sel.Name] == 0 {
					t.Errorf("%s answers %s, which this test does not know", folder, status.Sel.Name)
				}
				found = append(found, statusNames[status.Sel.Name])
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("nothing in %s answers by %v any more: mend this test", folder, functions)
	}
	return found
}

// Every status with which the server, the gate or the limits refuse a request to
// a path that there is stands in the document.
func TestStatusesAreDescribed(t *testing.T) {
	possible := slices.Collect(maps.Values(statuses))
	possible = append(possible, answersIn(t, ".", "newProblem")...)
	possible = append(possible, answersIn(t, "../access", "writeError")...)
	possible = append(possible, answersIn(t, "../../cmd/kiln", "refuse")...)
	described := problems()
	for _, status := range possible {
		if _, ok := described[status]; !ok && status != http.StatusMethodNotAllowed {
			t.Errorf("%d is answered and not described", status)
		}
	}
	for status := range described {
		if !slices.Contains(possible, status) {
			t.Errorf("%d is described and nothing answers it", status)
		}
	}
}
