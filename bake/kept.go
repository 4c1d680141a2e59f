package bake

import "context"

// answer finds what an earlier bake kept of a question about layers, from the
// lowest to the top one: dir and k name it in the cache.
func (b *Builder) answer(ctx context.Context, v any, chain []string, dir, k string) bool {
	if b.cache.load(v, dir, k+".json") {
		return true
	}
	name := b.apart(ctx, chain, k)
	if name == "" || !b.cache.load(v, dir, name) {
		return false
	}
	b.doubt()
	return true
}

// keepAnswer keeps what answer finds. What rests on something that nobody
// signed is found only by bakes that would believe the very same.
func (b *Builder) keepAnswer(ctx context.Context, v any, chain []string, dir, k string) error {
	name := k + ".json"
	if !b.sure() {
		name = b.apart(ctx, chain, k)
	}
	if name == "" {
		return nil
	}
	return b.cache.save(v, dir, name)
}

// apart names an answer by the details of the store, too, that tell of the
// layers without a signature; "" if there are none, or none counts.
func (b *Builder) apart(ctx context.Context, chain []string, k string) string {
	if b.Records == nil || b.Records.Signed() {
		return ""
	}
	b.learnOutsiders(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	var told []string
	for _, diff := range chain {
		if at, ok := b.learned[diff]; ok {
			told = append(told, diff, string(at.detail))
		}
	}
	if told == nil {
		return ""
	}
	return key("told by the store", k, told) + ".json"
}

// doubt notes that something was believed that nobody signed.
func (b *Builder) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsure = true
}
