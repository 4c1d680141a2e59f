package sign

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// statementRead is what a statement says, to every reader the same. Whether its
// parts fit is the caller's to judge.
type statementRead struct {
	kind, predicateType string
	subjects            []subjectRead
	predicate           json.RawMessage
}

type subjectRead struct {
	name    string
	digests []member // hex by algorithm
}

// readStatement parses a statement as every reader would. In kiln's own no two
// names of an object differ but in case, which in a predicate of others may be.
// It goes through the payload twice: as JSON, and for its members.
func readStatement(payload []byte, own bool) (statementRead, error) {
	var st statementRead
	if !json.Valid(payload) {
		return st, invalid("statement: %v", json.Unmarshal(payload, new(any)))
	}
	top, err := members("statement", payload, own)
	if err != nil {
		return st, err
	}
	if err := exactly("statement", top, "_type", "subject", "predicateType", "predicate"); err != nil {
		return st, err
	}
	for _, m := range top {
		if err := st.take(m); err != nil {
			return st, invalid("statement: %s: %v", m.name, err)
		}
	}
	return st, nil
}

// take reads one member.
func (s *statementRead) take(m member) error {
	var err error
	switch m.name {
	case "_type":
		s.kind, err = m.text()
	case "subject":
		s.subjects, err = readSubjects(m.raw)
	case "predicateType":
		s.predicateType, err = m.text()
	case "predicate":
		s.predicate = m.raw
	}
	return err
}

func readSubjects(list json.RawMessage) ([]subjectRead, error) {
	each, err := elements(list)
	if err != nil {
		return nil, err
	}
	subjects := make([]subjectRead, len(each))
	for i, raw := range each {
		if subjects[i], err = readSubject(raw); err != nil {
			return nil, err
		}
	}
	return subjects, nil
}

func readSubject(raw json.RawMessage) (subjectRead, error) {
	var s subjectRead
	found, err := members("one", raw, false)
	if err != nil {
		return s, err
	}
	if err := exactly("one", found, "name", "digest"); err != nil {
		return s, err
	}
	for _, m := range found {
		switch m.name {
		case "name":
			s.name, err = m.text()
		case "digest":
			s.digests, err = readDigests(m.raw)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func readDigests(raw json.RawMessage) ([]member, error) {
	found, err := members("digest", raw, false)
	for _, m := range found {
		if m.raw[0] != '"' {
			return nil, invalid("digest %s is not a string", m)
		}
	}
	return found, err
}

// isAbout says whether one of the digests is d.
func (s subjectRead) isAbout(d digest.Digest) bool {
	for _, m := range s.digests {
		if m.name == d.Algorithm().String() {
			text, err := m.text()
			return err == nil && text == d.Encoded()
		}
	}
	return false
}
