package layers

import (
	"archive/tar"
	"time"
)

// xattrRecord is the prefix of the pax records that hold extended attributes.
const xattrRecord = "SCHILY.xattr."

// header returns the entry's tar header: always pax, whose extended records
// archive/tar writes only for what the plain header cannot hold.
func (e *Entry) header() *tar.Header {
	h := &tar.Header{
		Format:   tar.FormatPAX,
		Typeflag: e.Type,
		Name:     e.Path,
		Mode:     int64(e.Mode),
		Uid:      e.UID,
		Gid:      e.GID,
		ModTime:  time.Unix(e.ModTime.Unix(), 0),
	}
	switch e.Type {
	case tar.TypeReg:
		h.Size = e.Size
	case tar.TypeDir:
		h.Name += "/"
	case tar.TypeSymlink, tar.TypeLink:
		h.Linkname = e.Link
	case tar.TypeChar, tar.TypeBlock:
		h.Devmajor, h.Devminor = e.Devmajor, e.Devminor
	}
	// A hard link's attributes are its target's.
	if len(e.Xattrs) > 0 && e.Type != tar.TypeLink {
		h.PAXRecords = make(map[string]string, len(e.Xattrs))
		for name, value := range e.Xattrs {
			h.PAXRecords[xattrRecord+name] = value
		}
	}
	return h
}

// headerXattrs returns the extended attributes of a header that was read.
func headerXattrs(h *tar.Header) map[string]string {
	var out map[string]string
	for key, value := range h.PAXRecords {
		if len(key) > len(xattrRecord) && key[:len(xattrRecord)] == xattrRecord {
			if out == nil {
				out = map[string]string{}
			}
			out[key[len(xattrRecord):]] = value
		}
	}
	return out
}
