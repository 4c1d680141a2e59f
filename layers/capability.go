package layers

import (
	"archive/tar"
	"encoding/hex"
	"errors"
)

// capabilityXattr holds the capabilities of a file: xattr(7), capabilities(7).
const capabilityXattr = "security.capability"

// capability is what an index says of those of an entry; "" for what the kernel
// would not take.
func (e *Entry) capability() string {
	value := e.Xattrs[capabilityXattr]
	if e.Type != tar.TypeReg || !capabilitySize(len(value)) {
		return ""
	}
	return hex.EncodeToString([]byte(value))
}

// capabilitySize knows the three versions of struct vfs_cap_data
// (linux/capability.h).
func capabilitySize(n int) bool { return n == 12 || n == 20 || n == 24 }

// CapabilityXattrs is the extended attribute, as of Entry.Xattrs, of a
// Node.Capability. It is nil for "", and an error for what is none.
func CapabilityXattrs(capability string) (map[string]string, error) {
	if capability == "" {
		return nil, nil
	}
	value, err := hex.DecodeString(capability)
	if err != nil || !capabilitySize(len(value)) {
		return nil, errors.New("file capabilities are not 12, 20 or 24 bytes in hex")
	}
	return map[string]string{capabilityXattr: string(value)}, nil
}
