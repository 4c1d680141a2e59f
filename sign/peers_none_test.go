//go:build full && !peers

package sign

// morePeers needs programs that only `task peers` installs.
func morePeers() []cosignPeer { return nil }
