package promotion

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"kiln/sign"
)

// Statement is the predicate of a channel statement: the signed word that the
// channel of the subject's image holds the subject's digest.
type Statement struct {
	StoreID  string    `json:"store_id"`
	Channel  string    `json:"channel"`
	Sequence int64     `json:"sequence"` // the image's ledger head when it was issued
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
}

// issue signs a statement for what c holds, as of st, and returns st with it. It
// expires at until, if that is not zero and sooner than its lifetime: then a
// revocation begins. The caller makes sure that none holds already.
func (s *Service) issue(ctx context.Context, st state, image, channel string, c channelState, until time.Time) (state, error) {
	id, err := s.StoreID(ctx)
	if err != nil {
		return state{}, err
	}
	issued := st.tick(s.now())
	c.Issue = issue{Sequence: st.Sequence, Issued: issued, Expires: issued.Add(s.lifetime)}
	if !until.IsZero() && until.Before(c.Issue.Expires) {
		c.Issue.Expires = until.UTC()
	}
	predicate, err := json.Marshal(Statement{
		StoreID: id, Channel: channel, Sequence: c.Issue.Sequence, Issued: c.Issue.Issued, Expires: c.Issue.Expires,
	})
	if err != nil {
		return state{}, fmt.Errorf("encode statement: %w", err)
	}
	c.Statement, err = s.signer.SignStatement(ctx, sign.Statement{
		Subject:       sign.Subject{Name: image, Digest: c.Digest},
		PredicateType: StatementPredicateType,
		Predicate:     predicate,
	})
	if err != nil {
		return state{}, fmt.Errorf("sign statement: %w", err)
	}
	st = st.with(channel, c)
	st.Clock = issued
	return st, nil
}
