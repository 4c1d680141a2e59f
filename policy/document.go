package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// document is what a policy sees as input. It is converted where the policy
// looks: most policies never look at the packages of an SBOM, and converting
// those costs more than all the rest.
func (f Facts) document() ast.Value {
	return ast.LazyObject(native(reflect.ValueOf(f)))
}

// native is a struct as a map. What is no struct stays what it is.
func native(v reflect.Value) map[string]any {
	m := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		field := v.Field(i)
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				m[name] = nil
				continue
			}
			field = field.Elem()
		}
		_, isTime := field.Interface().(time.Time)
		switch {
		case field.Kind() == reflect.Struct && !isTime:
			m[name] = native(field)
		default:
			m[name] = field.Interface()
		}
	}
	return m
}

// readDocument is the input of canonical facts in a text, and their time.
func readDocument(text []byte) (ast.Value, time.Time, error) {
	facts, err := ParseFacts(text)
	if err != nil {
		return nil, time.Time{}, err
	}
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, time.Time{}, fmt.Errorf("parse facts: %w", err)
	}
	for _, name := range []string{"action", "channel", "channels", "digest", "image", "now"} {
		if doc[name] == nil {
			return nil, time.Time{}, fmt.Errorf("parse facts: they lack %s", name)
		}
	}
	return ast.LazyObject(doc), facts.Now, nil
}
