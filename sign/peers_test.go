//go:build full && peers

package sign

// morePeers are cosigns beside the one that the formats are those of.
func morePeers() []cosignPeer {
	return []cosignPeer{{"cosign 3.1.3", "cosign3", []string{"--use-signing-config=false"}, "--new-bundle-format=%v"}}
}
