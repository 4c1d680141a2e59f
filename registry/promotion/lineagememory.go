package promotion

import (
	"context"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Bounds of what is remembered of lineages.
const (
	lineAge  = time.Minute // after which one is read again
	maxLines = 4096
)

// lineMemory remembers who the ancestors of versions are, so that a resolve
// verifies their provenance once a minute and not each time. What is revoked it
// does not know.
type lineMemory struct {
	mu    sync.Mutex
	lines map[string]rememberedLine
}

type rememberedLine struct {
	lineage
	at time.Time
}

// rememberedLineage is the lineage under the store's trust, as it was at most
// lineAge ago.
func (s *Service) rememberedLineage(ctx context.Context, image string, d digest.Digest) (lineage, error) {
	key, now := image+"@"+string(d), s.now()
	if line, ok := s.lines.load(key, now); ok {
		return line, nil
	}
	t, err := s.Trust(ctx)
	if err != nil {
		return lineage{}, err
	}
	line, err := s.lineage(ctx, t, image, d)
	if err == nil {
		s.lines.save(key, line, now)
	}
	return line, err
}

func (m *lineMemory) load(key string, now time.Time) (lineage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	line, ok := m.lines[key]
	return line.lineage, ok && now.Sub(line.at).Abs() < lineAge
}

func (m *lineMemory) save(key string, line lineage, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lines == nil || len(m.lines) >= maxLines {
		m.lines = map[string]rememberedLine{}
	}
	m.lines[key] = rememberedLine{line, now}
}
