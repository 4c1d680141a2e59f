package ociserver

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

const contentDigest = "Docker-Content-Digest"

// immutable is said of what a digest names: it never changes.
const immutable = "max-age=31536000, immutable"

func (s *Server) blobGet(w http.ResponseWriter, r *http.Request, q Request) error {
	desc, err := s.registry.StatBlob(r.Context(), q.Repo, q.Digest)
	if err != nil {
		return err
	}
	h := w.Header()
	setDigest(h, q.Digest)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", immutable)
	if notModified(r, q.Digest) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if elsewhere, err := s.elsewhere(r, q); err != nil || elsewhere != "" {
		if err == nil {
			redirect(w, elsewhere)
		}
		return err
	}
	status, part := http.StatusOK, &span{0, desc.Size}
	if wanted := r.Header.Get("Range"); wanted != "" && rangeApplies(r, q.Digest) {
		p, err := parseRange(wanted, desc.Size)
		if err != nil {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", desc.Size))
			return err
		}
		if p != nil {
			status, part = http.StatusPartialContent, p
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", p.offset, p.offset+p.length-1, desc.Size))
		}
	}
	h.Set("Content-Type", "application/octet-stream")
	return s.sendBlob(w, r, q, *part, status)
}

// elsewhere asks where a blob is to be read. HEAD is answered here: an address
// that is signed for GET serves nothing else.
func (s *Server) elsewhere(r *http.Request, q Request) (string, error) {
	if s.redirect == nil || r.Method != http.MethodGet {
		return "", nil
	}
	return s.redirect(r.Context(), q.Repo, q.Digest)
}

// redirect sends the client elsewhere, with the range that it asked for. The
// address ends before the blob does, so nobody keeps it.
func redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Del("Accept-Ranges")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// sendBlob answers with a part of a blob. Once bytes are on their way an error
// can only cut the connection.
func (s *Server) sendBlob(w http.ResponseWriter, r *http.Request, q Request, part span, status int) error {
	length := strconv.FormatInt(part.length, 10)
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", length)
		w.WriteHeader(status)
		return nil
	}
	rc, err := s.registry.OpenBlob(r.Context(), q.Repo, q.Digest, part.offset, part.length)
	if err != nil {
		w.Header().Del("Content-Range")
		return err
	}
	defer rc.Close()
	w.Header().Set("Content-Length", length)
	w.WriteHeader(status)
	if err := s.sendAny(w, rc, part.length); err != nil {
		s.logFailure(w, r, q, err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (s *Server) blobDelete(w http.ResponseWriter, r *http.Request, q Request) error {
	if err := s.registry.DeleteBlob(r.Context(), q.Repo, q.Digest); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func setDigest(h http.Header, d digest.Digest) {
	values := [2]string{string(d), etag(d)}
	h[contentDigest] = values[0:1:1]
	h["Etag"] = values[1:2:2]
}

func etag(d digest.Digest) string { return `"` + string(d) + `"` }

// notModified tells whether the client has it already (RFC 9110, If-None-Match).
func notModified(r *http.Request, d digest.Digest) bool {
	for _, header := range r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == "*" || tag == etag(d) {
				return true
			}
		}
	}
	return false
}

// rangeApplies: a range is of what the client has begun to read (If-Range).
func rangeApplies(r *http.Request, d digest.Digest) bool {
	known := r.Header.Get("If-Range")
	return known == "" || known == etag(d)
}
