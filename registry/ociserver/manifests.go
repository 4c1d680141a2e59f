package ociserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (s *Server) manifestGet(w http.ResponseWriter, r *http.Request, q Request) error {
	desc, content, err := s.manifest(r.Context(), q)
	if err != nil {
		return err
	}
	h := w.Header()
	setDigest(h, desc.Digest)
	caching := "no-cache" // a tag moves
	if q.Tag == "" {
		caching = immutable
	}
	values := [3]string{caching, desc.MediaType, strconv.Itoa(len(content))}
	h["Cache-Control"] = values[0:1:1]
	if notModified(r, desc.Digest) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = values[1:2:2]
	h["Content-Length"] = values[2:3:3]
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	s.writeAll(w, r, content)
	return nil
}

// manifest reads what a digest or a tag names.
func (s *Server) manifest(ctx context.Context, q Request) (ocispec.Descriptor, []byte, error) {
	if q.Tag == "" {
		return s.registry.Manifest(ctx, q.Repo, q.Digest)
	}
	return registry.ManifestByTag(ctx, s.registry, q.Repo, q.Tag)
}

func (s *Server) manifestPut(w http.ResponseWriter, r *http.Request, q Request) error {
	content, err := s.manifestOf(w, r, q)
	if err != nil {
		return err
	}
	mediaType, err := contentType(r)
	if err != nil {
		return err
	}
	m := registry.Manifest{MediaType: mediaType, Content: content, Digest: q.Digest, Tags: q.Tags}
	if q.Tag != "" {
		m.Tags = []string{q.Tag}
	}
	desc, err := s.registry.PushManifest(r.Context(), q.Repo, m)
	if err != nil {
		return err
	}
	h := w.Header()
	setDigest(h, desc.Digest)
	h.Set("Location", "/v2/"+q.Repo+"/manifests/"+desc.Digest.String())
	if subject := subjectOf(content); subject != "" {
		h.Set("OCI-Subject", subject.String())
	}
	for _, tag := range q.Tags {
		h.Add("OCI-Tag", tag)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// manifestOf reads the manifest of who may push one. Of others it is not looked
// at, so that strangers fill no memory: the registry refuses them without it.
func (s *Server) manifestOf(w http.ResponseWriter, r *http.Request, q Request) ([]byte, error) {
	if s.mayPush != nil && !s.mayPush(r.Context(), q.Repo) {
		return nil, nil
	}
	return s.readManifest(w, r)
}

// Bounds of the manifests that are in memory at once: one above largeManifest
// bytes, which few are, has to get one of maxLarge places.
const (
	largeManifest = 256 << 10
	maxLarge      = 16
)

// readManifest reads the whole body, for which it takes the idle timeout and no
// more: it is held in memory. 413 for one above MaxManifestSize.
func (s *Server) readManifest(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := &wireError{
		status: http.StatusRequestEntityTooLarge, code: registry.CodeManifestInvalid,
		message: fmt.Sprintf("a manifest has at most %d bytes", registry.MaxManifestSize),
	}
	if r.ContentLength > registry.MaxManifestSize {
		return nil, tooLarge
	}
	b := s.body(w, r)
	b.end = time.Now().Add(s.idle)
	content, err := io.ReadAll(io.LimitReader(b, largeManifest))
	if err == nil && len(content) == largeManifest {
		select {
		case s.large <- struct{}{}:
			defer func() { <-s.large }()
		default:
			return nil, registry.Errorf(registry.CodeTooManyRequests, "too many large manifests at once; try again in a moment")
		}
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(b, registry.MaxManifestSize+1-largeManifest))
		content = append(content, rest...)
	}
	if len(content) > registry.MaxManifestSize {
		return nil, tooLarge
	}
	if err != nil {
		return nil, registry.Errorf(registry.CodeManifestInvalid, "%w", err)
	}
	return content, nil
}

func contentType(r *http.Request) (string, error) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return "", nil // the manifest says
	}
	mediaType, _, err := mime.ParseMediaType(header)
	if err != nil {
		return "", registry.Errorf(registry.CodeManifestInvalid, "the Content-Type of the manifest is malformed")
	}
	return mediaType, nil
}

// subjectOf reads the subject of a manifest that the registry has accepted.
func subjectOf(content []byte) digest.Digest {
	var m struct {
		Subject struct {
			Digest digest.Digest `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(content, &m) != nil || registry.CheckDigest(m.Subject.Digest) != nil {
		return ""
	}
	return m.Subject.Digest
}

func (s *Server) manifestDelete(w http.ResponseWriter, r *http.Request, q Request) error {
	var err error
	if q.Tag != "" {
		err = s.registry.DeleteTag(r.Context(), q.Repo, q.Tag)
	} else {
		err = s.registry.DeleteManifest(r.Context(), q.Repo, q.Digest)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
