package filestore

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSyncsServeAllThatWait: one fsync for all that ask while another runs,
// and never one that began before the asking.
func TestSyncsServeAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSyncs()
		var began atomic.Int32
		fsync := func(string) error {
			began.Add(1)
			time.Sleep(time.Second)
			return nil
		}
		var wg sync.WaitGroup
		ask := func() {
			wg.Go(func() {
				before := began.Load()
				if err := s.do("dir", fsync); err != nil {
					t.Error(err)
				}
				if began.Load() == before {
					t.Error("no fsync began after the call")
				}
			})
		}
		ask()
		time.Sleep(time.Millisecond) // it runs
		for range 10 {
			ask()
		}
		wg.Wait()
		if n := began.Load(); n != 2 {
			t.Errorf("%d fsyncs, want 2", n)
		}
		if len(s.running)+len(s.next) > 0 {
			t.Error("something is left")
		}
	})
}

// TestSyncsFailTogether: whoever waited behind a failed fsync fails too, as
// the kernel tells of a loss once (FAULTS 39); the next is on its own again.
func TestSyncsFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken := newSyncs(), errors.New("broken")
		fails := func(string) error { time.Sleep(time.Second); return broken }
		works := func(string) error { return nil }
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.do("dir", fails); !errors.Is(err, broken) {
				t.Errorf("the first: %v", err)
			}
		})
		time.Sleep(time.Millisecond)
		for range 3 {
			wg.Go(func() {
				if err := s.do("dir", works); !errors.Is(err, broken) {
					t.Errorf("behind it: %v", err)
				}
			})
		}
		if err := s.do("other", works); err != nil {
			t.Errorf("another folder: %v", err)
		}
		wg.Wait()
		if err := s.do("dir", works); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
