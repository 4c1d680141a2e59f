package ociclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kiln/registry"
)

// pageSize is how many names are asked for at once.
const pageSize = "1000"

const (
	maxPage  = 16 << 20 // bounds the answer to a list request, in bytes
	maxPages = 10_000   // bounds the answers
)

// Repositories implements registry.Lister.
func (c *Client) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	u := *c.base
	u.Path = "/v2/_catalog"
	q := call{method: http.MethodGet, url: &u, scopes: []string{catalog}, unknown: registry.CodeUnsupported}
	return c.names(ctx, q, after, func(page []byte) ([]string, error) {
		var p struct {
			Repositories []string `json:"repositories"`
		}
		err := json.Unmarshal(page, &p)
		return p.Repositories, err
	})
}

// Tags implements registry.Lister.
func (c *Client) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	if err := registry.CheckName(repo); err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	q := call{method: http.MethodGet, url: c.path(repo, "tags", "list"), scopes: c.scopes(repo, pull), unknown: registry.CodeNameUnknown}
	return c.names(ctx, q, after, func(page []byte) ([]string, error) {
		var p struct {
			Tags []string `json:"tags"`
		}
		err := json.Unmarshal(page, &p)
		return p.Tags, err
	})
}

// names yields the names behind after in byte order. They are held in memory
// and sorted here: registries list in orders of their own, and then know no
// "behind" either.
func (c *Client) names(ctx context.Context, q call, after string, read func([]byte) ([]string, error)) iter.Seq2[string, error] {
	first := *q.url
	first.RawQuery = url.Values{"n": {pageSize}}.Encode()
	q.url = &first
	return func(yield func(string, error) bool) {
		var all []string
		for content, err := range c.pages(ctx, q) {
			var names []string
			if err == nil {
				names, err = read(content)
			}
			if err != nil {
				yield("", err)
				return
			}
			all = append(all, names...)
		}
		slices.Sort(all)
		for _, name := range slices.Compact(all) {
			if name > after && !yield(name, nil) {
				return
			}
		}
	}
}

// pages yields the answers to a list request and to those that they link to.
func (c *Client) pages(ctx context.Context, q call) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for n := 1; ; n++ {
			if n > maxPages {
				yield(nil, fmt.Errorf("%s: the list at %s does not end", c.base.Host, q.url.Path))
				return
			}
			content, next, err := c.page(ctx, q)
			if !yield(content, err) || err != nil || next == nil {
				return
			}
			q.url = next
		}
	}
}

func (c *Client) page(ctx context.Context, q call) ([]byte, *url.URL, error) {
	resp, err := c.do(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err == nil && len(content) > maxPage {
		err = fmt.Errorf("%s: a page of %s has more than %d bytes", c.base.Host, q.url.Path, maxPage)
	}
	if err != nil {
		return nil, nil, err
	}
	next, err := c.next(q.url, resp.Header)
	return content, next, err
}

// next reads the link to the next page (RFC 8288), which is of this registry.
func (c *Client) next(from *url.URL, h http.Header) (*url.URL, error) {
	for _, link := range h.Values("Link") {
		target, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		u, err := from.Parse(target)
		if err != nil || u.Scheme != c.base.Scheme || hostPort(u) != hostPort(c.base) {
			return nil, fmt.Errorf("%s links to a page elsewhere", c.base.Host)
		}
		if u.String() == from.String() {
			return nil, nil
		}
		return u, nil
	}
	return nil, nil
}
