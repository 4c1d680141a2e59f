package bake

import (
	"context"
	"fmt"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/sign"
)

// listedOnce reads evidence and lists it once, not again for each kind of it:
// in a bucket every entry of a list is a request. It serves one goroutine, and
// one look at what is there.
type listedOnce struct {
	sign.Reader
	lists map[string]referrerList
}

type referrerList struct {
	found []ocispec.Descriptor
	err   error // after found
}

// maxListing bounds one list; it is more than a verifier looks at.
const maxListing = 20_000

func listOnce(r sign.Reader) *listedOnce { return &listedOnce{r, map[string]referrerList{}} }

// Referrers implements sign.Reader.
func (l *listedOnce) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		name := repo + "@" + string(d) + " " + artifactType
		list, known := l.lists[name]
		if !known {
			list = l.list(ctx, repo, d, artifactType)
			l.lists[name] = list
		}
		for _, desc := range list.found {
			if !yield(desc, nil) {
				return
			}
		}
		if list.err != nil {
			yield(ocispec.Descriptor{}, list.err)
		}
	}
}

func (l *listedOnce) list(ctx context.Context, repo string, d digest.Digest, artifactType string) (list referrerList) {
	for desc, err := range l.Reader.Referrers(ctx, repo, d, artifactType) {
		if err != nil {
			list.err = err
			return list
		}
		if list.found = append(list.found, desc); len(list.found) > maxListing {
			list.err = fmt.Errorf("referrers of %s@%s: more than %d", repo, d, maxListing)
			return list
		}
	}
	return list
}
