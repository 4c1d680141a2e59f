package promotion

import (
	"context"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// History implements Operations. The cursor is the sequence of the first record
// of a page.
func (s *Service) History(ctx context.Context, req HistoryRequest) (History, error) {
	st, start, err := s.start(ctx, req)
	if err != nil {
		return History{}, err
	}
	limit := pageSize(req.Limit)
	page := History{Schema: HistorySchema, Image: req.Image, Entries: []Entry{}}
	words := map[int]Approval{}
	records := s.walk(ctx, req.Image, start, 0)
	if req.Channel != "" {
		records = s.walkChannel(ctx, req.Image, start)
	}
	for d, r := range records {
		if r.err != nil {
			return History{}, r.err
		}
		if req.Channel != "" && r.Channel != req.Channel {
			return History{}, errorf(KindInvalid, "cursor %q is of another channel", clip(req.Cursor))
		}
		if len(page.Entries) == limit {
			page.Next = strconv.FormatInt(r.Sequence, 10)
			break
		}
		if r.Action == ActionApprove && r.Evidence != "" {
			words[len(page.Entries)] = r.approval(d)
		}
		page.Entries = append(page.Entries, r.entry(d))
	}
	if err := s.nameApprovers(ctx, page.Entries, words); err != nil {
		return History{}, err
	}
	if err := s.repair(ctx, req.Image, st); err != nil {
		s.log.Warn("record not linked yet", "repo", req.Image, "digest", st.Head, "err", err)
	}
	return page, nil
}

// nameApprovers says who signed approvals; words are those of entries that are
// signed ones.
func (s *Service) nameApprovers(ctx context.Context, entries []Entry, words map[int]Approval) error {
	if len(words) == 0 {
		return nil
	}
	t, err := s.Trust(ctx)
	if err != nil {
		return err
	}
	for i, word := range words {
		if entries[i].KeyID, err = s.approver(ctx, t, word, word.Channel); err != nil {
			return err
		}
	}
	return nil
}

// start finds the newest record of the page that is asked for; "" for none.
func (s *Service) start(ctx context.Context, req HistoryRequest) (snapshot, digest.Digest, error) {
	if err := s.checkKnown(ctx, req.Image); err != nil {
		return snapshot{}, "", err
	}
	if req.Channel != "" {
		if err := s.checkChannel(req.Image, req.Channel); err != nil {
			return snapshot{}, "", err
		}
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return snapshot{}, "", err
	}
	if req.Cursor == "" {
		if req.Channel != "" {
			return st, st.Channels[req.Channel].Record, nil
		}
		return st, st.Head, nil
	}
	sequence, err := strconv.ParseInt(req.Cursor, 10, 64)
	if err != nil || sequence < 1 || sequence > st.Sequence {
		return snapshot{}, "", errorf(KindInvalid, "invalid cursor %q", clip(req.Cursor))
	}
	d, err := s.find(ctx, req.Image, sequence, st)
	return st, d, err
}

// find returns the record of a sequence, by the index if that has it.
func (s *Service) find(ctx context.Context, image string, sequence int64, st snapshot) (digest.Digest, error) {
	d, err := s.bySequence(ctx, image, sequence)
	if err != nil || d != "" {
		return d, err
	}
	for older, r := range s.walk(ctx, image, st.Head, sequence-1) {
		if r.err != nil {
			return "", r.err
		}
		d = older
	}
	return d, nil
}
