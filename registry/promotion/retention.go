package promotion

// RetentionRule says which versions of the images of a pattern stay. The first
// rule that matches an image decides; of an image that none matches everything
// stays. A version stays if any of KeepLast, KeepYounger and KeepTags keeps
// it, and all do if none of the three is set. What a channel, the kept part of
// its history, a lease or a kept version that was baked on it needs always
// stays.
type RetentionRule struct {
	Image       string   `json:"image"`                  // pattern, as in TrustEntry
	KeepLast    int      `json:"keep_last,omitempty"`    // newest versions
	KeepYounger Duration `json:"keep_younger,omitempty"` // by the time of the bake
	KeepTags    []string `json:"keep_tags,omitempty"`    // patterns, of any tag of it
	// History is how many distinct digests stay that a channel held before
	// what it holds now, the newest first; 0 is all. Rollbacks go there.
	History int `json:"history,omitempty"`
}
