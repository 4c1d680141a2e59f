package access

import (
	"fmt"
	"slices"
	"strings"

	"kiln/registry"
)

// scope is one entry of a session's access claim, as distribution's token
// specification has it.
type scope struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// scopes narrow what a session may do. They never widen it: the grants of the
// identity are asked as well.
type scopes []scope

// Bounds of what a client may ask a token for.
const (
	maxScopes    = 50
	maxScopeSize = 300 // bytes
)

// parseScopes reads the scope parameters of a token request, each of which may
// hold several, divided by spaces. Types that we do not know give nothing.
func parseScopes(params []string) (scopes, error) {
	list := scopes{}
	for _, param := range params {
		if len(param) > maxScopes*maxScopeSize {
			return nil, fmt.Errorf("a scope of %d bytes", len(param))
		}
		for _, text := range strings.Fields(param) {
			if len(list) == maxScopes || len(text) > maxScopeSize {
				return nil, fmt.Errorf("more than %d scopes, or one of more than %d bytes", maxScopes, maxScopeSize)
			}
			if s, ok := parseScope(text); ok {
				list = append(list, s)
			}
		}
	}
	return list, nil
}

// parseScope reads type:name:action[,action…].
func parseScope(text string) (scope, bool) {
	kind, rest, ok := strings.Cut(text, ":")
	colon := strings.LastIndexByte(rest, ':')
	if !ok || colon < 0 {
		return scope{}, false
	}
	s := scope{Type: kind, Name: rest[:colon], Actions: strings.Split(rest[colon+1:], ",")}
	switch {
	case s.Type == "registry" && s.Name == "catalog":
		return s, slices.Contains(s.Actions, "*")
	case s.Type == "repository":
		return s, registry.CheckName(s.Name) == nil
	}
	return scope{}, false
}

func (s scope) String() string {
	return s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ",")
}

// permit says whether a session may do verb with image. Clients ask for push
// before they delete, so that stands for both; what is no matter of /v2/ is
// never a session's, which is made for that.
func (s scopes) permit(verb Verb, image string) bool {
	var actions []string
	switch verb {
	case Pull:
		actions = []string{"pull", "*"}
	case Push, Attest, Delete:
		actions = []string{"push", "delete", "*"}
	}
	return slices.ContainsFunc(s, func(have scope) bool {
		return have.Type == "repository" && have.Name == image && slices.ContainsFunc(have.Actions, func(a string) bool { return slices.Contains(actions, a) })
	})
}

// catalog says whether a session may list the images.
func (s scopes) catalog() bool {
	return slices.ContainsFunc(s, func(have scope) bool { return have.Type == "registry" })
}
