package ociserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// uploadOffset tells how many bytes an upload has, which the Range header of
// the spec does not for none or one; and, of a chunk, where it starts. The name
// is of the IETF's draft on resumable uploads.
const uploadOffset = "Upload-Offset"

func (s *Server) uploadStart(w http.ResponseWriter, r *http.Request, q Request) error {
	if err := s.sessions.room(r.Context()); err != nil {
		return err
	}
	u, err := s.registry.StartUpload(r.Context(), q.Repo)
	if err != nil {
		return err
	}
	s.sessions.begin(u.ID())
	setUpload(w.Header(), q.Repo, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// uploadMount links a blob of another repository; where that has none, the
// client gets an upload to send it.
func (s *Server) uploadMount(w http.ResponseWriter, r *http.Request, q Request) error {
	err := s.mount(r.Context(), q)
	switch registry.ErrorCode(err) {
	case registry.CodeBlobUnknown, registry.CodeNameUnknown, registry.CodeDenied, registry.CodeUnauthorized:
		return s.uploadStart(w, r, q)
	}
	if err != nil {
		return err
	}
	created(w, q.Repo, q.Digest)
	return nil
}

func (s *Server) mount(ctx context.Context, q Request) error {
	from := q.From
	if from == "" {
		if s.findBlob == nil {
			return registry.Errorf(registry.CodeBlobUnknown, "the mount does not say from where")
		}
		var err error
		if from, err = s.findBlob(ctx, q.Digest); err != nil {
			return err
		}
	}
	_, err := s.registry.MountBlob(ctx, from, q.Repo, q.Digest)
	return err
}

// uploadWhole takes a blob in the request that announces it.
func (s *Server) uploadWhole(w http.ResponseWriter, r *http.Request, q Request) error {
	if err := s.pushBlob(w, r, q); err != nil {
		return err
	}
	created(w, q.Repo, q.Digest)
	return nil
}

func (s *Server) pushBlob(w http.ResponseWriter, r *http.Request, q Request) error {
	release, err := s.acquire()
	if err != nil {
		return err
	}
	defer release()
	b := s.body(w, r)
	if err := s.registry.PushBlob(r.Context(), q.Repo, ocispec.Descriptor{Digest: q.Digest, Size: r.ContentLength}, b); err != nil {
		return err
	}
	// A blob that was there already is not read, but some clients do not look
	// for the answer before they have sent all.
	_, err = io.Copy(io.Discard, b)
	return err
}

func (s *Server) uploadStatus(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := s.registry.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	setUpload(w.Header(), q.Repo, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) uploadChunk(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := s.registry.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	if err := s.appendChunk(w, r, u); err != nil {
		return s.outOfOrder(w, r, q, err)
	}
	setUpload(w.Header(), q.Repo, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// appendChunk adds the request's body where its header says, or at the end.
func (s *Server) appendChunk(w http.ResponseWriter, r *http.Request, u registry.Upload) error {
	release, err := s.acquire()
	if err != nil {
		return err
	}
	defer release()
	var chunk io.Reader = s.body(w, r)
	offset := u.Size()
	if header := r.Header.Get("Content-Range"); header != "" {
		part, err := parseContentRange(header)
		if err != nil {
			return err
		}
		if r.ContentLength >= 0 && r.ContentLength != part.length {
			return registry.Errorf(registry.CodeSizeInvalid, "Content-Range is of %d bytes, Content-Length of %d", part.length, r.ContentLength)
		}
		offset, chunk = part.offset, &exactly{chunk, part.length}
	} else if header := r.Header.Get(uploadOffset); header != "" {
		n, ok := number(header)
		if !ok {
			return registry.Errorf(registry.CodeBlobUploadInvalid, "%s is no number of bytes", uploadOffset)
		}
		offset = n
	}
	return u.Append(r.Context(), offset, chunk)
}

// outOfOrder tells, with the error of a chunk at the wrong place, the right one.
func (s *Server) outOfOrder(w http.ResponseWriter, r *http.Request, q Request, err error) error {
	if errors.Is(err, registry.CodeRangeInvalid) {
		if u, err := s.registry.ResumeUpload(r.Context(), q.Repo, q.UploadID); err == nil {
			setUpload(w.Header(), q.Repo, u)
		}
	}
	return err
}

// uploadFinish makes a blob of an upload, with the body as its last chunk. An
// upload of nothing but that body is pushed as a whole.
func (s *Server) uploadFinish(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := s.registry.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	switch {
	case u.Size() == 0 && r.Header.Get("Content-Range") == "":
		if err := s.pushBlob(w, r, q); err != nil {
			return err
		}
		// The blob is safe; the upload expires where this does not work.
		_ = u.Cancel(r.Context())
	default:
		if r.ContentLength != 0 {
			if err := s.appendChunk(w, r, u); err != nil {
				return s.outOfOrder(w, r, q, err)
			}
		}
		if _, err := u.Commit(r.Context(), q.Digest); err != nil {
			return err
		}
	}
	s.sessions.end(q.UploadID)
	created(w, q.Repo, q.Digest)
	return nil
}

func (s *Server) uploadCancel(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := s.registry.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	if err := u.Cancel(r.Context()); err != nil {
		return err
	}
	s.sessions.end(q.UploadID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// setUpload tells where an upload goes on. Of no bytes the range is 0-0, as
// Docker's registry says it.
func setUpload(h http.Header, repo string, u registry.Upload) {
	h.Set("Location", "/v2/"+repo+"/blobs/uploads/"+u.ID())
	h.Set("Docker-Upload-Uuid", u.ID())
	h.Set("Range", fmt.Sprintf("0-%d", max(u.Size()-1, 0)))
	h.Set(uploadOffset, strconv.FormatInt(u.Size(), 10))
}

func created(w http.ResponseWriter, repo string, d digest.Digest) {
	w.Header().Set(contentDigest, d.String())
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+d.String())
	w.WriteHeader(http.StatusCreated)
}
