package promotion

import (
	"testing"
	"time"
)

// A version for several platforms stays while something stands on the image of
// one of them: it is neither deleted nor retired.
func TestIndexIsKeptForWhatStandsOnItsPlatforms(t *testing.T) {
	w := openWorld(t)
	w.service = w.with(func(c *Config) {
		c.Policy, c.Retention = w.open(), []RetentionRule{{Image: "acme/base", KeepLast: 1}}
	})
	amd, arm := w.stored("acme/base", "amd64").Digest, w.stored("acme/base", "arm64").Digest
	base := w.index("acme/base", nil, amd, arm)
	w.bakedOn(shop, "app", parent("acme/base", arm))
	w.clock.Add(time.Hour)
	w.bakedOn("acme/base", "newer")
	_, err := w.service.Delete(t.Context(), DeleteRequest{Image: "acme/base", Digest: base})
	if e := want(t, err, KindDenied, "is needed and stays"); e.Reasons[0].Rule != "parent" {
		t.Errorf("reasons %+v", e.Reasons)
	}
	retired, _, err := w.service.view(w.service.rules).retirements(t.Context(), 0)
	if err != nil || len(retired) != 0 {
		t.Errorf("retires %+v: %v", retired, err)
	}
}
