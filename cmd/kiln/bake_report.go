package main

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
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
