package ociserver

import (
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tagPage is the answer to a tag list.
type tagPage struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// repositoryPage is the answer to a catalog request.
type repositoryPage struct {
	Repositories []string `json:"repositories"`
}

func (s *Server) tagList(w http.ResponseWriter, r *http.Request, q Request) error {
	tags, err := s.page(w, q, s.registry.Tags(r.Context(), q.Repo, q.Last), "/v2/"+q.Repo+"/tags/list")
	if err != nil {
		return err
	}
	return s.writeJSON(w, r, "application/json", tagPage{q.Repo, tags})
}

func (s *Server) catalog(w http.ResponseWriter, r *http.Request, q Request) error {
	names, err := s.page(w, q, s.registry.Repositories(r.Context(), q.Last), "/v2/_catalog")
	if err != nil {
		return err
	}
	return s.writeJSON(w, r, "application/json", repositoryPage{names})
}

// page takes as many names as were asked for, never more than MaxPage, and
// links to the next page where there is one.
func (s *Server) page(w http.ResponseWriter, q Request, seq iter.Seq2[string, error], path string) ([]string, error) {
	n := s.maxPage
	if q.N >= 0 {
		n = min(n, q.N)
	}
	names := []string{}
	for name, err := range seq {
		if err != nil {
			return nil, err
		}
		if len(names) == n {
			if n > 0 {
				setNext(w.Header(), path, url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}})
			}
			break
		}
		names = append(names, name)
	}
	return names, nil
}

func setNext(h http.Header, path string, query url.Values) {
	h.Set("Link", "<"+path+"?"+query.Encode()+`>; rel="next"`)
}

// maxReferrers bounds a page of referrers, in bytes: clients take no index
// that is larger than a manifest may be.
const maxReferrers = 3 << 20

// referrerList answers with an index of the referrers of a digest, in pages
// where one would be too large.
func (s *Server) referrerList(w http.ResponseWriter, r *http.Request, q Request) error {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	h, size := w.Header(), 0
	for desc, err := range s.registry.Referrers(r.Context(), q.Repo, q.Digest, q.ArtifactType) {
		if err != nil {
			return err
		}
		if desc.Digest.String() <= q.Last {
			continue
		}
		item, err := json.Marshal(desc)
		if err != nil {
			return err
		}
		size += len(item) + 1
		if n := len(index.Manifests); size > maxReferrers && n > 0 {
			query := url.Values{"last": {index.Manifests[n-1].Digest.String()}}
			if q.ArtifactType != "" {
				query.Set("artifactType", q.ArtifactType)
			}
			setNext(h, "/v2/"+q.Repo+"/referrers/"+q.Digest.String(), query)
			break
		}
		index.Manifests = append(index.Manifests, desc)
	}
	if q.ArtifactType != "" {
		h.Set("OCI-Filters-Applied", "artifactType")
	}
	return s.writeJSON(w, r, ocispec.MediaTypeImageIndex, index)
}

func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	s.writeAll(w, r, content) // net/http sends nothing of it for HEAD
	return nil
}
