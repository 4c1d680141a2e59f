package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
	"kiln/layers"
)

// bakeReport is what kiln bake --json prints.
type bakeReport struct {
	Schema  string       `json:"schema"`
	Images  []bakedImage `json:"images"`
	Seconds float64      `json:"seconds"`
}

type bakedImage struct {
	Image  string            `json:"image"`
	Tier   string            `json:"tier"`
	Digest digest.Digest     `json:"digest"`
	Tag    string            `json:"tag"`
	Built  bool              `json:"built"`
	Layers []bake.StepResult `json:"layers"`
	// Platforms of a version for several, whose digest is its index's.
	Platforms []bakedPlatform `json:"platforms,omitempty"`
}

type bakedPlatform struct {
	Platform string        `json:"platform"`
	Digest   digest.Digest `json:"digest"`
}

func (a *app) printBaked(baked []bake.Baked, took time.Duration) error {
	report := bakeReport{Schema: "kiln.bake/v1", Images: []bakedImage{}, Seconds: took.Seconds()}
	for _, b := range baked {
		img := bakedImage{Image: b.Name, Tier: b.Recipe.Tier, Digest: b.Digest, Tag: b.Tag, Built: b.Built, Layers: []bake.StepResult{}}
		for _, s := range b.Steps {
			if s.Digest != "" {
				img.Layers = append(img.Layers, s)
			}
		}
		for _, p := range b.Platforms {
			img.Platforms = append(img.Platforms, bakedPlatform{p.Recipe.Platform(), p.Digest})
		}
		report.Images = append(report.Images, img)
	}
	if a.json {
		return a.printJSON(report)
	}
	for _, img := range report.Images {
		if _, err := fmt.Fprintf(a.out, "%s@%s %s\n", img.Image, img.Digest, img.Tag); err != nil {
			return err
		}
	}
	return nil
}

// checkOutput refuses an --output that no bake could write.
func checkOutput(output string) error {
	kind, path, ok := strings.Cut(output, ":")
	if output == "" || (ok && path != "" && (kind == "oci" || kind == "docker-archive")) {
		return nil
	}
	return usagef("--output %s: want oci:DIR or docker-archive:FILE", output)
}

// checkArchive refuses to begin what could not be written in the end: a Docker
// archive of an image for several platforms.
func (j *bakeJob) checkArchive() error {
	for _, img := range j.targets {
		if len(img.All) > 1 && strings.HasPrefix(j.output, "docker-archive:") {
			return usagef("--output %s: image %q is for several platforms, and a Docker archive holds one: write oci:DIR", j.output, img.Name)
		}
	}
	return nil
}

// writeOutput writes the targets where --output says.
func (a *app) writeOutput(job *bakeJob, baked []bake.Baked) error {
	if job.output == "" {
		return nil
	}
	var items []layers.Named
	for _, b := range baked {
		if b.Target {
			items = append(items, layers.Named{Ref: b.Name + ":" + b.Tag, Image: b.Image.Image, Index: b.Index})
		}
	}
	kind, path, _ := strings.Cut(job.output, ":")
	if kind == "oci" {
		return layers.WriteOCILayout(path, items)
	}
	return layers.WriteDockerArchive(path, items)
}
