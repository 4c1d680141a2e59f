package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// many is how many tags and blobs the large stores have.
const many = 100_000

// large times what depends on how much a store holds. The stores are written
// as files, since pushing that much would take longer than all else here; who
// made the folder of all removes them, when the table is printed.
func large(t *table, p *peers, dir string, rounds int) error {
	fmt.Fprintln(os.Stderr, "large stores")
	if err := fillLarge(p, dir); err != nil {
		return err
	}
	starts := []func(string) (*server, error){p.distribution, p.kiln}
	for range rounds {
		for _, start := range starts {
			took, err := p.begin(start, dir)
			if err != nil {
				return err
			}
			s := p.running[0]
			t.add(rowStart, s.name, took.Seconds())
			if err := listTags(t, s); err != nil {
				return fmt.Errorf("%s: %w\n%s", s.name, err, lastLines(s.log))
			}
			p.stop()
		}
	}
	return nil
}

// fillLarge pushes one image to each and then multiplies it on the disk.
func fillLarge(p *peers, dir string) error {
	if err := p.start(dir); err != nil {
		return err
	}
	defer p.stop()
	for _, s := range p.registries() {
		digest, err := pushImage(s)
		if err == nil {
			err = s.multiply(digest)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	syscall.Sync()
	return nil
}

// multiply writes tags of a manifest, and blobs, as the registry would.
func (s *server) multiply(digest string) error {
	for i := range many {
		content := fmt.Sprint(i)
		hex := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		files := kilnFiles(i, digest)
		if s.name == distribution {
			files = distributionFiles(i, digest)
		}
		files[blobFile(s.name, hex)] = content
		for path, value := range files {
			path = filepath.Join(s.root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func blobFile(name, hex string) string {
	if name == distribution {
		return "docker/registry/v2/blobs/sha256/" + hex[:2] + "/" + hex + "/data"
	}
	return "blobs/sha256/" + hex[:2] + "/" + hex
}

func kilnFiles(i int, digest string) map[string]string {
	image := "images/" + strings.ReplaceAll(repo, "/", "~")
	value := fmt.Sprintf(`{"digest":%q,"at":"2026-01-01T00:00:00Z"}`, digest)
	return map[string]string{
		fmt.Sprintf("%s/tags/t%06d%%pointer", image, i): fmt.Sprintf("kiln-pointer/1 %032x %x\n%s", i, sha256.Sum256([]byte(value)), value),
	}
}

func distributionFiles(i int, digest string) map[string]string {
	root := "docker/registry/v2/repositories/" + repo
	tag := fmt.Sprintf("%s/_manifests/tags/t%06d", root, i)
	return map[string]string{
		tag + "/current/link": digest,
	}
}

// listTags lists all of them, page by page as clients do.
func listTags(t *table, s *server) error {
	c, err := dial(s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	begin := time.Now()
	last := "latest"
	for pages := 0; ; pages++ {
		a, err := c.want(200, "GET", "/v2/"+repo+"/tags/list?n=1000&last="+last, "", blob{})
		if err != nil {
			return err
		}
		if !a.link {
			break
		}
		last = fmt.Sprintf("t%06d", (pages+1)*1000-1)
	}
	t.add(rowTags, s.name, time.Since(begin).Seconds())
	return nil
}

// pushImage pushes an image of one small layer as repo:latest and returns its
// digest.
func pushImage(s *server) (string, error) {
	c, err := dial(s.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	layers := blobOf("image", 2, 100)
	for _, b := range layers {
		if err := c.push(repo, b, whole); err != nil {
			return "", err
		}
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`,
		mediaType, layers[0].digest, layers[0].size, layers[1].digest, layers[1].size)
	if _, err := c.putText("/v2/"+repo+"/manifests/latest", mediaType, content); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))), nil
}
