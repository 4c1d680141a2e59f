//go:build full

package main

import (
	"strings"

	"kiln/registry/promotion"
)

// testUpkeep leases, deletes and collects through the server.
func (s *served) testUpkeep() {
	base := s.image("acme/base")
	ref := "acme/base@" + string(base.Digest)
	var l promotion.Lease
	s.read(&l, "lease", ref, "--holder", "cluster-1", "--for", "2h")
	if l.Digest != base.Digest || l.Holder != "cluster-1" || l.Expires.IsZero() {
		s.t.Errorf("lease %+v", l)
	}
	var list promotion.LeaseList
	s.read(&list, "lease", "acme/base")
	if len(list.Leases) != 1 || list.Leases[0].Holder != "cluster-1" {
		s.t.Errorf("leases %+v", list)
	}
	if out := s.exits(exitDenied, "delete", "acme/base:"+base.Tag); !strings.Contains(out, "cluster-1 leases it") || !strings.Contains(out, "is baked on it") {
		s.t.Errorf("delete of what is needed prints %s", out)
	}
	// Nor can another client, by digest.
	if out := s.refused(s.peer("crane", "delete", s.host+"/"+ref)); !strings.Contains(out, "DENIED") {
		s.t.Errorf("crane delete prints %s", out)
	}
	s.run("lease", ref, "--holder", "cluster-1", "--release")
	s.exits(exitNotFound, "lease", ref, "--holder", "cluster-1", "--release")
	var dry, wet promotion.CollectResult
	s.read(&dry, "gc", "--keep-last", "1")
	s.read(&wet, "gc", "--keep-last", "1", "--apply")
	if dry.Applied || !wet.Applied || len(dry.Retired)+len(dry.Removed)+len(wet.Retired)+len(wet.Removed) != 0 {
		s.t.Errorf("within the grace: %+v, then %+v", dry, wet)
	}
	s.read(&list, "lease")
}
