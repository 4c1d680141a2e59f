package sign

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestReadStatement(t *testing.T) {
	const good = `{"_type":"t","subject":[{"name":"n","digest":{"sha256":"00"}}],"predicateType":"p","predicate":{"a":1}}`
	for content, fits := range map[string]bool{
		good:                                    true,
		" " + good + "\n":                       true,
		`[` + good + `]`:                        false,
		`{"a":` + good + `}`:                    true, // says nothing, as others see it
		`null`:                                  false,
		`"a"`:                                   false,
		``:                                      false,
		good + good:                             false,
		`{"_type":1}`:                           false,
		`{"_type":null}`:                        true,
		`{"_TYPE":"t"}`:                         false,
		`{"_type":"\u0074"}`:                    true,
		`{"subject":null}`:                      true,
		`{"subject":{}}`:                        false,
		`{"subject":[null]}`:                    false,
		`{"subject":["a"]}`:                     false,
		`{"subject":[[{}]]}`:                    false,
		`{"subject":[{"digest":{"sha256":1}}]}`: false,
		`{"subject":[{"digest":["sha256"]}]}`:   false,
		`{"subject":[{"Name":"n"}]}`:            false,
		`{"subject":[{"name":"n","digest":{"a":"b","a":"c"}}]}`: false,
		`{"predicate":{"a":1,"A":1}}`:                           true,
		`{"predicate":{"a":1,"a":1}}`:                           false,
	} {
		_, err := readStatement([]byte(content), false)
		if (err == nil) != fits || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// FuzzReadStatement: what is read is what encoding/json reads.
func FuzzReadStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"t","subject":[{"name":"n","digest":{"sha256":"00"}}],"predicateType":"p","predicate":{"a":1}}`))
	f.Add([]byte(`{"_type":"\ud800","subject":[{},{"name":"\u00e9","x":[1,{}]}],"predicate":null}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := readStatement(content, false)
		if err != nil {
			return
		}
		var want statementJSON
		if err := json.Unmarshal(content, &want); err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if got.kind != want.Type || got.predicateType != want.PredicateType || string(got.predicate) != string(want.Predicate) || len(got.subjects) != len(want.Subject) {
			t.Errorf("%q: %+v, want %+v", content, got, want)
		}
		for i, s := range got.subjects {
			if s.name != want.Subject[i].Name || len(s.digests) != len(want.Subject[i].Digest) {
				t.Errorf("%q: %+v, want %+v", content, s, want.Subject[i])
			}
			for _, m := range s.digests {
				if text, err := m.text(); err != nil || text != want.Subject[i].Digest[m.name] {
					t.Errorf("%q: %s, want %+v", content, m, want.Subject[i])
				}
			}
		}
	})
}
