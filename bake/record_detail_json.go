package bake

import (
	"encoding/json"
	"strconv"

	"kiln/layers"
)

// appendJSON writes d as encoding/json does, so that equal details have had
// equal bytes since the first kiln.
func (d detail) appendJSON(out []byte) ([]byte, error) {
	out = layers.AppendString(append(out, `{"schema":`...), d.Schema)
	if len(d.Items) > 0 {
		out = append(out, `,"items":[`...)
		for i, it := range d.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = it.appendJSON(out)
		}
		out = append(out, ']')
	}
	if d.Index != nil {
		index, err := d.Index.MarshalJSON()
		if err != nil {
			return nil, err
		}
		out = append(append(out, `,"index":`...), index...)
	}
	if d.Scan != nil {
		scan, err := json.Marshal(d.Scan)
		if err != nil {
			return nil, err
		}
		out = append(append(out, `,"scan":`...), scan...)
	}
	return append(out, '}'), nil
}

func (it detailItem) appendJSON(out []byte) []byte {
	out = layers.AppendString(append(out, `{"p":`...), it.Target)
	out = strconv.AppendUint(append(out, `,"t":`...), uint64(it.Kind), 10)
	out = appendNumber(out, `,"m":`, int64(it.Mode))
	out = appendNumber(out, `,"u":`, int64(it.UID))
	out = appendNumber(out, `,"g":`, int64(it.GID))
	out = appendText(out, `,"l":`, it.Link)
	out = appendNumber(out, `,"s":`, it.Size)
	out = appendText(out, `,"d":`, it.SHA256)
	if it.Seconds != nil {
		out = strconv.AppendInt(append(out, `,"x":`...), *it.Seconds, 10)
	}
	if it.Declared {
		out = append(out, `,"c":true`...)
	}
	return append(appendText(out, `,"k":`, it.Capability), '}')
}

// appendNumber writes a field unless it is 0.
func appendNumber(out []byte, name string, value int64) []byte {
	if value == 0 {
		return out
	}
	return strconv.AppendInt(append(out, name...), value, 10)
}

// appendText writes a field unless it is empty.
func appendText(out []byte, name, value string) []byte {
	if value == "" {
		return out
	}
	return layers.AppendString(append(out, name...), value)
}
