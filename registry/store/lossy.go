package store

// Lossy is what a Store may be besides: it saves itself the wait for the disk
// where what is lost can be sent again.
type Lossy interface {
	// Lossy tells keys whose objects and pointers survive the end of any
	// process, but perhaps not that of the machine: afterwards an object there
	// may hold other bytes than were put, and a pointer may be gone or hold no
	// value. Copy makes a durable object of one.
	Lossy(key string) bool
}

// IsLossy tells whether key is lossy in s.
func IsLossy(s Store, key string) bool {
	l, ok := s.(Lossy)
	return ok && l.Lossy(key)
}
