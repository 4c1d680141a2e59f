package bake

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"kiln/layers"
)

// appendJSON writes l as encoding/json does: keys and prints are hashes of that.
func (l landed) appendJSON(out []byte) []byte {
	out = layers.AppendString(append(out, `{"Path":`...), l.Path)
	for _, f := range [...]struct {
		name  string
		value int64
	}{{`,"Kind":`, int64(l.Kind)}, {`,"Mode":`, int64(l.Mode)}, {`,"UID":`, int64(l.UID)}, {`,"GID":`, int64(l.GID)}} {
		out = strconv.AppendInt(append(out, f.name...), f.value, 10)
	}
	out = layers.AppendString(append(out, `,"Link":`...), l.Link)
	out = strconv.AppendInt(append(out, `,"Size":`...), l.Size, 10)
	out = layers.AppendString(append(out, `,"SHA256":`...), l.SHA256)
	if l.Capability != "" {
		out = layers.AppendString(append(out, `,"Capability":`...), l.Capability)
	}
	out = strconv.AppendInt(append(out, `,"Seconds":`...), l.Seconds, 10)
	return append(out, '}')
}

// contentKey is the key of a step that places files: key("content", encoder, list).
func contentKey(encoder string, list []landed) string {
	if list == nil {
		return keyWith([]byte("null"), "content", encoder)
	}
	out := append(make([]byte, 0, 256*len(list)+2), '[')
	for i, l := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = l.appendJSON(out)
	}
	return keyWith(append(out, ']'), "content", encoder)
}

// print is printOf.
func (l landed) print(buf *[]byte) string {
	*buf = l.appendJSON((*buf)[:0])
	sum := sha256.Sum256(*buf)
	return hex.EncodeToString(sum[:6])
}
