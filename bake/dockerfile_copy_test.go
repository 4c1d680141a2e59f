package bake

import (
	"fmt"
	"strings"
	"testing"
)

// dockerProject is a template with one Dockerfile, and the files around it.
func dockerProject(dockerfile string, files map[string]string) map[string]string {
	all := map[string]string{
		"kiln.hcl":      "project = \"acme\"\nimage \"a\" {\n  dockerfile {}\n}\n",
		"Dockerfile":    dockerfile,
		".dockerignore": "Dockerfile\n.dockerignore\n",
	}
	for name, text := range files {
		all[name] = text
	}
	return all
}

func TestDockerfileCopy(t *testing.T) {
	files := map[string]string{"src/a.txt": "a", "src/b.md": "b", "src/deep/c.txt": "c", "src/deep/d.md": "d", "top.txt": "top"}
	for _, c := range []struct {
		name, lines string
		want        []string
	}{
		{"folder", "COPY src /w", []string{"w 755 0:0", "w/a.txt 644 0:0 a", "w/b.md 644 0:0 b", "w/deep 755 0:0", "w/deep/c.txt 644 0:0 c", "w/deep/d.md 644 0:0 d"}},
		{"exclude", "COPY --exclude=**/*.md src /w/", []string{"w 755 0:0", "w/a.txt 644 0:0 a", "w/deep 755 0:0", "w/deep/c.txt 644 0:0 c"}},
		{"owner and mode", "COPY --chown=1:2 --chmod=0600 top.txt /w/", []string{"w 755 1:2", "w/top.txt 600 1:2 top"}},
		{"number alone", "COPY --chown=7 top.txt /x", []string{"x 644 7:7 top"}},
		{"parents", "COPY --parents src/deep/*.txt top.txt /w/", []string{"w 755 0:0", "w/src 755 0:0", "w/src/deep 755 0:0", "w/src/deep/c.txt 644 0:0 c", "w/top.txt 644 0:0 top"}},
		{"pivot", "COPY --parents src/./deep/c.txt /w/", []string{"w 755 0:0", "w/deep 755 0:0", "w/deep/c.txt 644 0:0 c"}},
		{"inline", "ENV X=1\nCOPY --chmod=755 <<E /w/f\nx is $X\nE", []string{"w 755 0:0", "w/f 755 0:0 x is 1"}},
		{"last of two", "COPY top.txt src/a.txt /w/\nCOPY src/b.md /w/a.txt", []string{"w 755 0:0", "w/a.txt 644 0:0 b", "w/top.txt 644 0:0 top"}},
		{"link", "COPY --link top.txt /w/", []string{"w 755 0:0", "w/top.txt 644 0:0 top"}},
		{"workdir", "USER 5:6\nWORKDIR /w/x\nCOPY top.txt .", []string{"w 755 5:6", "w/x 755 5:6", "w/x/top.txt 644 0:0 top"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := buildAll(t, builder(t, BuilderOptions{}), project(t, dockerProject("FROM scratch\n"+c.lines+"\n", files)))
			got := flatOf(t, img.Image)
			for i := range got {
				got[i] = strings.TrimSpace(got[i])
			}
			compareLines(t, got, c.want...)
		})
	}
}

// What ADD names by URL is checked, and kept with the version; archives of the
// context are extracted, those of a URL only where ADD says so.
func TestDockerfileAdd(t *testing.T) {
	archive := gzipOf(t, tarOf(t, entry{name: "./d/f", text: "in"}))
	o := newOrigin(t, serving(archive))
	add := fmt.Sprintf("FROM scratch\nADD local.tar.gz /l\nADD --checksum=sha256:%s %s/x.tgz /packed/\nADD --unpack --checksum=sha256:%[1]s %[2]s/x.tgz /u/\n", hexSum(archive), o.URL)
	img := buildAll(t, builder(t, BuilderOptions{}), project(t, dockerProject(add, map[string]string{"local.tar.gz": string(archive)})))
	var got []string
	for _, line := range flatOf(t, img.Image) {
		if !strings.HasPrefix(line, "packed/x.tgz 600 0:0 ") {
			got = append(got, line)
		}
	}
	compareLines(t, got, "l 755 0:0", "l/d 755 0:0", "l/d/f 4755 1000:1000 in", "packed 755 0:0", "u 755 0:0", "u/d 755 0:0", "u/d/f 4755 1000:1000 in")
	if len(img.Inputs) == 0 || img.Inputs[0].URI != o.URL+"/x.tgz" {
		t.Errorf("inputs %+v", img.Inputs)
	}
	if o.asked.Load() != 1 {
		t.Errorf("the server was asked %d times", o.asked.Load())
	}
}
