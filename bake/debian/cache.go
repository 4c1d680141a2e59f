package debian

import (
	"path/filepath"
)

// Cache is a folder of files named by the sha256 of their content:
// DIR/sha256/<first two digits>/<all digits>. Files appear there whole or not
// at all, so several processes may share one.
type Cache struct{ Dir string }

// Path says where the file with this sha256 (64 hexadecimal digits in lower
// case) lies or would lie.
func (c Cache) Path(sha256 string) string {
	return filepath.Join(c.Dir, "sha256", sha256[:2], sha256)
}
