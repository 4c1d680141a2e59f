package bake

import (
	"reflect"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
)

// TestConfigureClears: nil inherits, an empty list clears.
func TestConfigureClears(t *testing.T) {
	parent := func() *v1.ConfigFile {
		return &v1.ConfigFile{Config: v1.Config{
			Entrypoint: []string{"a"}, Cmd: []string{"b"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}}, Volumes: map[string]struct{}{"/data": {}},
			Env: []string{"PATH=/bin"},
		}}
	}
	kept := parent()
	configure(kept, &template.Image{})
	if !reflect.DeepEqual(kept, parent()) {
		t.Errorf("without config: %+v", kept.Config)
	}
	none := []string{}
	cleared := parent()
	configure(cleared, &template.Image{Config: template.Config{Entrypoint: none, Cmd: none, Ports: none, Volumes: none}})
	if c := cleared.Config; len(c.Entrypoint)+len(c.Cmd)+len(c.ExposedPorts)+len(c.Volumes) > 0 {
		t.Errorf("with empty lists: %+v", c)
	}
	more := parent()
	configure(more, &template.Image{Config: template.Config{Ports: []string{"443/tcp"}, Volumes: []string{"/logs"}}})
	if c := more.Config; len(c.ExposedPorts) != 2 || len(c.Volumes) != 2 {
		t.Errorf("with more: %+v", c)
	}
}
